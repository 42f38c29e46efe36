"""Samples of rows of numbers and tokens, by the reverse steps of both at one time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..lookup import check_count
from ..process.grid import MAX_STEPS
from ..process.noise import Noise, Stream
from ..process.rows import KnownEntries, RowLevel, RowPath, RowPrediction, RowState
from .driver import OnStep


@dataclass(frozen=True)
class RowSampler:
    """How rows are sampled: ancestral steps of equal length in time (Ho et al. 2020; Austin et al.
    2021).

    Args:
        steps: how many, one evaluation each.
        complete: whether no value that is drawn is missing, in columns where some were.

    Raises:
        ValueError: for a number below 1.
    """

    steps: int = 100
    complete: bool = False

    def __post_init__(self) -> None:
        check_count("steps", self.steps, 1, MAX_STEPS)

    def describe(self) -> str:
        """In a few words, e.g. "ancestral, 100 steps"."""
        return f"ancestral, {self.steps} steps"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"solver": "ancestral", "steps": self.steps}


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Rows to be sampled.

    Args:
        x: rows; their known entries are read.
        known: which they are.
        seeds: one integer per row; a row depends on its own alone.
    """

    x: RowState
    known: KnownEntries
    seeds: Sequence[int]


@torch.no_grad()
def sample_rows(
    predict: Any, batch: RowBatch, sampler: RowSampler, on_step: OnStep | None = None
) -> RowState:
    """Clean rows given their known entries.

    Args:
        predict: a predictor of rows, with `components` of the known numbers.
        batch: the rows.
        sampler: how they are sampled.
        on_step: called as on_step(done, total).
    """
    x, known, seeds = batch.x, batch.known, batch.seeds
    path: RowPath = predict.path
    start = Noise(seeds, (x.numbers.shape[1],), Stream.START)
    noise = Noise(seeds, (x.numbers.shape[1],), Stream.STEPS)
    masks = Noise(seeds, (x.tokens.shape[1],), Stream.LATENTS)
    x_t = RowState(
        torch.where(known.numbers, x.numbers, start.draw(x.numbers)),
        torch.where(known.tokens, x.tokens, path.tokens.mask),
    )
    parts = predict.components(x_t, known)

    for step in range(sampler.steps, 0, -1):
        t, s = (path.at(i / sampler.steps, x_t) for i in (step, step - 1))
        prediction = predict(x_t, t, known, parts)
        numbers, tokens = _step(path, prediction, s, noise.draw(x.numbers), masks.uniforms())
        if step == 1:
            numbers = prediction.numbers.x0
        x_t = RowState(torch.where(known.numbers, x.numbers, numbers), tokens)
        if on_step is not None:
            on_step(sampler.steps - step + 1, sampler.steps)

    return x_t


def _step(
    path: RowPath, prediction: RowPrediction, s: RowLevel, eps: Tensor, u: Tensor
) -> tuple[Tensor, Tensor]:
    """A draw of p(x_s | x_t): numbers and tokens."""
    numbers, tokens = path.step(prediction, s)
    return numbers.draw(eps), tokens.quantile(u.to(eps.device))
