"""Tuned samplers beside their run: RUN/tuned/steps-8.json, one for each number of steps and guidance scale."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..process.path import Path as Process
from ..sampling import TunedSampler
from .run_folder import RunFolder, write_whole


def tuned_file(folder: RunFolder, steps: int, guidance: float) -> Path:
    """Where the tuned sampler for this many steps stands."""
    name = f"steps-{steps}" + ("" if guidance == 1 else f"-guidance-{guidance:g}")
    return folder.path / "tuned" / f"{name}.json"


def save_tuned(folder: RunFolder, tuned: TunedSampler, guidance: float) -> Path:
    """Write it, with a fingerprint of the weights that it was fitted to."""
    file = tuned_file(folder, tuned.grid.steps, guidance)
    file.parent.mkdir(exist_ok=True)
    write_whole(
        file, json.dumps({"weights": _fingerprint(folder)} | tuned.to_dict(), indent=1) + "\n"
    )
    return file


def load_tuned(
    folder: RunFolder, path: Process, steps: int, guidance: float
) -> TunedSampler | None:
    """The tuned sampler for this many steps; None if there is none, or the run was trained further since.

    ValueError when the file is damaged.
    """
    file = tuned_file(folder, steps, guidance)
    if not file.exists():
        return None

    try:
        content = json.loads(file.read_text())
        if content["weights"] != _fingerprint(folder):
            return None
        return TunedSampler.from_dict(path, content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}); delete it, or tune again") from None


def _fingerprint(folder: RunFolder) -> str:
    return hashlib.sha256(folder.weights.read_bytes()).hexdigest()
