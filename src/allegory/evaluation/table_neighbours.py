r"""How near samples of a table are to its training rows: does a model repeat what it has learned?

The squared distance of two rows is the sum over the columns of (a - b)^2 / variance for numbers,
and 1 for codes that differ; a missing number is at the mean of its column, and its code says so.

    nearness = P(d(sample, train) < d(test row, train)) + P(=) / 2

with d(x, train) the distance to the nearest training row is 1/2 where samples are as far from the
training rows as new rows are (the statistic of Mann & Whitney 1947, whose standard error for equal
distributions is sqrt((1/n + 1/m) / 12)), and near 1 for a model that repeats training rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ..data.table_schema import TableSchema
from ..process.bound import Estimate

MOST_ROWS = 20_000
"""Training rows among which neighbours are sought."""
_DISTANCES = 2**18
"""That are computed at once, in 2 MB."""
_FAR = 0.7
"""Nearness above which, by three standard errors, a model may repeat training rows."""
_HALF = 0.5
"""Of the median distance of a test row: that of a sample is below it where rows are repeated."""


@dataclass(frozen=True, eq=False)
class Nearness:
    """The distances of samples and of test rows from the nearest training row.

    Args:
        samples: one for each sample.
        test: one for each test row.
        rows: training rows among which neighbours were sought.
    """

    samples: Float64[Tensor, " n"]
    test: Float64[Tensor, " m"]
    rows: int

    @property
    def probability(self) -> Estimate:
        """The probability that a sample is nearer than a test row, 1/2 where they are alike."""
        gaps = self.test[None] - self.samples[:, None]
        mean = float(((gaps > 0).double() + (gaps == 0).double() / 2).mean())
        error = math.sqrt((1 / len(self.samples) + 1 / len(self.test)) / 12)
        return Estimate(mean, error)

    @property
    def is_memorised(self) -> bool:
        """Whether samples are far nearer to training rows than test rows are, not by chance."""
        is_sure = self.probability.mean - 3 * self.probability.error > _FAR
        return is_sure and bool(self.samples.median() < _HALF * self.test.median())

    def __str__(self) -> str:
        """The medians in a sentence."""
        return (
            f"the nearest training row is {float(self.samples.median()):.3g} standard deviations "
            f"from a sample, and {float(self.test.median()):.3g} from a new row (medians)"
        )


def nearness(
    samples: Float64[Tensor, "n dims"],
    test: Float64[Tensor, "m dims"],
    train: Float64[Tensor, "k dims"],
    schema: TableSchema,
) -> Nearness:
    """The distances of samples and of test rows from the nearest of the training rows.

    Args:
        samples: raw rows of a model.
        test: raw rows that it did not learn from.
        train: raw rows that it learned from; a random part of them where they are many.
        schema: what they are.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:MOST_ROWS]
    among = train[order]
    scale = _Scale.of(among, schema)
    known, at_once = scale.split(among), max(1, _DISTANCES // len(order))
    found = [
        torch.cat([_nearest(scale.split(some), known) for some in rows.split(at_once)])
        for rows in (samples, test)
    ]
    return Nearness(found[0], found[1], len(order))


@dataclass(frozen=True, eq=False)
class _Scale:
    """Mean and standard deviation of each number of training rows.

    Args:
        mean: of each.
        std: of each; 1 for one that does not vary.
        indicators: for each number the place of the code that says it is missing, or -1.
    """

    mean: Float64[Tensor, " d"]
    std: Float64[Tensor, " d"]
    indicators: tuple[int, ...]

    @classmethod
    def of(cls, train: Tensor, schema: TableSchema) -> _Scale:
        """That of training rows."""
        indicators = tuple((*schema.places(name), -1)[1] for name in schema.numbers)
        numbers = _present(train, indicators)
        mean = numbers.nanmean(0)
        std = ((numbers - mean) ** 2).nanmean(0).sqrt()
        return cls(mean, torch.where(std > 0, std, 1.0), indicators)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers in this scale, and the codes."""
        numbers = (_present(rows, self.indicators) - self.mean) / self.std
        return numbers.nan_to_num(nan=0.0), rows[:, len(self.indicators) :].double()


def _nearest(rows: tuple[Tensor, Tensor], known: tuple[Tensor, Tensor]) -> Float64[Tensor, " n"]:
    """The distance of each row to the nearest of the known ones; numbers and codes of both."""
    squared = torch.zeros(len(rows[0]), len(known[0]), dtype=torch.float64)
    for mine, theirs in zip(rows[0].T, known[0].T, strict=True):
        squared += (mine[:, None] - theirs) ** 2
    for mine, theirs in zip(rows[1].T, known[1].T, strict=True):
        squared += mine[:, None] != theirs
    return squared.min(1).values.sqrt()


def _present(rows: Tensor, indicators: tuple[int, ...]) -> Float64[Tensor, "n d"]:
    """The numbers of rows, NaN where one is missing."""
    numbers = rows[:, : len(indicators)].double().clone()
    for place, indicator in enumerate(indicators):
        if indicator >= 0:
            numbers[rows[:, indicator] == 1, place] = math.nan
    return numbers
