"""`allegory tune`: fit a sampler to a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..guidance import ClassifierFree
from ..models import VDM
from ..recipes import RunFolder
from ..recipes.tuned_files import save_tuned
from ..sampling import TunedSampler, TuningConfig
from . import tables

if TYPE_CHECKING:
    from .arguments import Tune

FIRST = 10**6
"""The items that a sampler learns from have seeds of their own, far from those that people count from 0."""


def tune(options: Tune) -> None:
    """Fit, write, and say what it brought."""
    if options.steps < 1:
        raise ValueError(f"--steps {options.steps}: give at least 1")
    folder = RunFolder.open(Path(options.folder))
    model = folder.model()
    if not isinstance(model, VDM):
        raise ValueError(
            f"RUN {options.folder!r}: no diffusion model, its latents are drawn once; nothing to tune"
        )
    classes = folder.spec.classes
    guidance = 1.0 if options.guidance is None else options.guidance
    if classes is None and guidance != 1:
        raise ValueError(f"--guidance {guidance:g}: this run has no classes; leave it out")
    tuned = _tuned(model, options, guidance, classes)
    file = save_tuned(folder, tuned, guidance)
    figures = {
        "steps": options.steps,
        "median error before": tuned.before,
        "after": tuned.after,
        "file": str(file),
    }
    tables.show(options.json, figures)
    tables.note(options.json, f"next: allegory sample {folder.path} --steps {options.steps}")


def _tuned(model: VDM, options: Tune, guidance: float, classes: int | None) -> TunedSampler:
    from ..sampling import tune as fit

    model.requires_grad_(False)
    held_out = max(options.items // 4, 1)
    choice = TuningConfig(options.iterations, options.batch, options.items, held_out)
    labels = None if classes is None else torch.arange(options.items + held_out) % classes
    return fit(
        ClassifierFree(model.denoiser, guidance), model.denoiser.path, model.spec.shape, options.steps,
        tuning=choice, conditions=labels, seed=FIRST + options.seed, on_step=None if options.json else _tell,
    )  # fmt: skip


def _tell(done: int, steps: int) -> None:
    if done % 50 == 0 or done == steps:
        print(f"step {done} of {steps}", file=sys.stderr, flush=True)
