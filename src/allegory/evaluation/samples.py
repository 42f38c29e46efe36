"""From a model to samples: start from noise, walk a grid, decode.

Item i belongs to seeds[i]: it is the same alone, in any batch and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ..guidance.classifier_free import ClassifierFree
from ..models.diffusion import VDM
from ..sampling.driver import OnStep, State
from ..sampling.sampler import Sampler
from ..sampling.solver import Solver
from ..sampling.tuned_sampler import TunedSampler
from .mode import evaluating


def walk(
    model: VDM,
    *,
    seeds: Sequence[int],
    labels: Int64[Tensor, " n"] | None = None,
    solver: str | Solver | TunedSampler = "dpmpp2m",
    steps: int = 25,
    spacing: str | None = None,
    end: str | None = None,
    guidance: float = 1.0,
    scaling: str | None = None,
    on_step: OnStep | None = None,
) -> Iterator[State]:
    """The states from noise to samples of one batch, in model space, one item a seed.

    The grid has the solver's own spacing and end if none are given ("angle" where an end of the path is infinite); a TunedSampler
    sampler has its own grid. guidance: uncond + w (cond - uncond), 1 is unguided. The model is in eval mode until the
    last state. `scaling`: walk another process than the model's own, with the same schedule (`process.resplit`).
    ValueError for labels that do not fit and for guidance without labels.
    """
    if labels is not None and len(labels) != len(seeds):
        raise ValueError(f"labels: {len(labels)} for {len(seeds)} seeds; give one label a seed")
    guide = None if guidance == 1 else ClassifierFree(guidance)
    sampler = Sampler(solver, steps, spacing, end, scaling, guide)
    device = next(model.parameters()).device
    x_T = sampler.initial_noise(model.denoiser, model.spec.shape, seeds).to(device)
    condition = None if labels is None else labels.to(device)
    with evaluating(model):
        yield from sampler.trajectory(
            model.denoiser, x_T, seeds=seeds, condition=condition, on_step=on_step
        )


def draw(
    model: VDM,
    count: int,
    *,
    seeds: Sequence[int],
    labels: Int64[Tensor, " n"] | None = None,
    solver: str | Solver | TunedSampler = "dpmpp2m",
    steps: int = 25,
    spacing: str | None = None,
    end: str | None = None,
    guidance: float = 1.0,
    scaling: str | None = None,
    batch: int = 250,
    on_step: OnStep | None = None,
) -> Shaped[Tensor, "n *shape"]:
    """`count` raw samples, item i from seeds[i] with labels[i]; `on_step` hears of the steps of all batches.

    guidance: uncond + w (cond - uncond), 1 is unguided. ValueError for seeds, labels or a batch that do not fit.
    """
    if count < 1 or batch < 1:
        raise ValueError(f"count={count}, batch={batch}; give at least 1 of each")
    if len(seeds) != count or (labels is not None and len(labels) != count):
        given = f"{len(seeds)} seeds" + ("" if labels is None else f", {len(labels)} labels")
        raise ValueError(f"{given} for count={count}; give one per item, e.g. seeds=range({count})")
    batches = -(-count // batch)
    samples = []
    for i in range(batches):
        part = slice(i * batch, (i + 1) * batch)
        states = walk(
            model, seeds=seeds[part], labels=None if labels is None else labels[part], solver=solver, steps=steps,
            spacing=spacing, end=end, guidance=guidance, scaling=scaling, on_step=_shifted(on_step, i, batches),
        )  # fmt: skip
        *_, last = states
        samples.append(model.spec.decode(last.x).cpu())
    return torch.cat(samples)


def _shifted(on_step: OnStep | None, batch: int, batches: int) -> OnStep | None:
    """The same listener, told of one batch out of several."""
    if on_step is None:
        return None
    return lambda done, steps: on_step(batch * steps + done, batches * steps)
