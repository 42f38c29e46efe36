"""Whether samples repeat rows of the training data: how far both lie from the nearest of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ..data import Dataset
from ..models.table import TableDiffusion
from ..sampling.rows import RowSampler

_COUNT = 200
"""Samples, and validation rows."""
_STEPS = 50
_AMONG = 10_000
"""Training rows among which the nearest is sought."""
_RATIO = 0.5
_ERRORS_APART = 4.0


@dataclass(frozen=True)
class Memorisation:
    """Distances to the nearest training row, in standard deviations of the columns.

    Args:
        samples: the median of samples.
        held_out: the median of rows of the data that nothing was fitted to.
        errors: by how many standard errors samples are the nearer ones (Mann & Whitney 1947).
    """

    samples: float
    held_out: float
    errors: float

    @property
    def is_likely(self) -> bool:
        """Whether samples are at half the distance or less, and not by chance."""
        return self.samples < _RATIO * self.held_out and self.errors > _ERRORS_APART

    def __str__(self) -> str:
        """The figures in a sentence."""
        return (
            f"the nearest training row is {self.samples:.3g} standard deviations from a sample, "
            f"and {self.held_out:.3g} from a row of validation (medians)"
        )


def memorisation(model: TableDiffusion, dataset: Dataset) -> Memorisation:
    """How near samples of a model are to its training rows.

    Args:
        model: the model.
        dataset: what it learned.
    """
    held_out = dataset.validation.x[:_COUNT].double()
    rows = held_out.repeat(-(-_COUNT // len(held_out)), 1)[:_COUNT]
    none = torch.zeros_like(rows).bool()
    samples = model.infill(rows, none, range(len(rows)), RowSampler(_STEPS))

    train = dataset.train.x
    places = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:_AMONG]

    near, far = (nearest(model, each, train[places].double()) for each in (samples, held_out))
    return Memorisation(float(near.median()), float(far.median()), _errors(near, far))


def nearest(
    model: TableDiffusion, rows: Float64[Tensor, "n dims"], train: Float64[Tensor, "m dims"]
) -> Float64[Tensor, " n"]:
    """The distance of each row from the nearest training row.

    The squares of the differences of numbers are added, in standard deviations, and 1 for each
    token that differs. A missing number differs from none.

    Args:
        model: whose encoding says what the entries are.
        rows: raw rows.
        train: raw training rows.
    """
    encoding = model.encoding
    first, second = (encoding.split(each) for each in (rows, train))
    a, b = (
        encoding.scaled(numbers, torch.zeros_like(numbers)).masked_fill(is_missing, 0.0)
        for numbers, _, is_missing in (first, second)
    )

    squares = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    for own, others in zip(first[1].T, second[1].T, strict=True):
        squares += own[:, None] != others

    return squares.amin(1).sqrt()


def _errors(near: Tensor, far: Tensor) -> float:
    """The statistic of Mann and Whitney in standard errors; positive where `near` is less."""
    n, m = len(near), len(far)
    above = (near[:, None] < far).double() + 0.5 * (near[:, None] == far).double()
    return float((above.mean() - 0.5) / math.sqrt((n + m + 1) / (12 * n * m)))
