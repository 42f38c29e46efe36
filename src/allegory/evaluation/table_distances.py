r"""Distances of samples of a table and its rows, column by column.

Of numbers Wasserstein-1, in standard deviations of the column; of columns with finitely many values
the total variation sum_c |p(c) - q(c)| / 2, a missing value being one of them. Both are above 0 for
two sets of rows of one distribution: compare with that of training rows and test rows. Standard
errors are those of 200 bootstrap resamples of both sets (Efron 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ..data.table_schema import Column, TableSchema
from ..process.bound import Estimate
from .distances import wasserstein_1
from .sample_quality import proportion

_RESAMPLES = 200
_FEWEST = 2


@dataclass(frozen=True)
class ColumnDistance:
    """How far samples of a column are from its test rows.

    Args:
        name: of the column.
        is_number: whether the distance is Wasserstein-1 in standard deviations, else total
            variation.
        samples: the distance of samples and test rows; None where a column of numbers has too few.
        train: that of as many training rows and the test rows; None without a reference.
        missing: the fraction of the samples without a value; None for columns without missing ones.
        test_missing: that of the test rows, likewise.
    """

    name: str
    is_number: bool
    samples: Estimate | None
    train: float | None
    missing: Estimate | None
    test_missing: Estimate | None


@dataclass(frozen=True, eq=False)
class TableSets:
    """Raw rows that are compared.

    Args:
        samples: of the model.
        test: rows that it did not learn from.
        train: as many rows that it learned from as there are samples; None without a reference.
    """

    samples: Float64[Tensor, "n dims"]
    test: Float64[Tensor, "m dims"]
    train: Float64[Tensor, "k dims"] | None


def column_distances(
    sets: TableSets, schema: TableSchema, seed: int = 0
) -> tuple[ColumnDistance, ...]:
    """The distance of samples and test rows of each column that varies, but for given ones.

    Args:
        sets: the rows.
        schema: what they are.
        seed: of the resamples.
    """
    columns = [each for each in schema.columns if each.is_number or each.is_token]
    return tuple(_distance(sets, schema, each, seed) for each in columns if _varies(schema, each))


def _varies(schema: TableSchema, column: Column) -> bool:
    return column.name not in schema.given


def _distance(sets: TableSets, schema: TableSchema, column: Column, seed: int) -> ColumnDistance:
    """The figures of one column."""
    place, *indicator = schema.places(column.name)
    both = (sets.samples, sets.test)
    missing = [_missing(rows, column, place, indicator) for rows in both]
    rates = [proportion(each.double()) if column.missing else None for each in missing]

    numbers, train = [rows[:, place].double() for rows in both], None
    reference = None if sets.train is None else sets.train[:, place].double()
    if not column.is_number:
        found = _variation(numbers[0], numbers[1], column.levels, seed)
        if reference is not None:
            train = _tv(_fractions(reference, column.levels), _fractions(numbers[1], column.levels))
        return ColumnDistance(column.name, False, found, train, rates[0], rates[1])

    present = [each[~gone] for each, gone in zip(numbers, missing, strict=True)]
    if min(map(len, present)) < _FEWEST:
        return ColumnDistance(column.name, True, None, None, rates[0], rates[1])
    if reference is not None and sets.train is not None:
        reference = reference[~_missing(sets.train, column, place, indicator)]

    scale = _scale(present[1] if reference is None or len(reference) < _FEWEST else reference)
    found = _transport(present[0] / scale, present[1] / scale, seed)
    if reference is not None and len(reference) >= _FEWEST:
        train = float(wasserstein_1(reference[:, None] / scale, present[1][:, None] / scale))
    return ColumnDistance(column.name, True, found, train, rates[0], rates[1])


def _missing(rows: Tensor, column: Column, place: int, indicator: list[int]) -> Tensor:
    """Which rows have no value of a column."""
    if column.is_number:
        return rows[:, indicator[0]] == 1 if indicator else torch.zeros(len(rows)).bool()
    return (rows[:, place] == column.levels - 1) & column.missing


def _scale(numbers: Float64[Tensor, " n"]) -> float:
    """A standard deviation; 1 for numbers that do not vary."""
    return float(numbers.std()) or 1.0


def _transport(samples: Float64[Tensor, " n"], test: Float64[Tensor, " m"], seed: int) -> Estimate:
    """Wasserstein-1 with its standard error."""
    generator = torch.Generator().manual_seed(seed)

    def resampled(numbers: Tensor) -> Tensor:
        size = (len(numbers), _RESAMPLES)
        return numbers[torch.randint(len(numbers), size, generator=generator)]

    deviation = wasserstein_1(resampled(samples), resampled(test)).std()
    return Estimate(float(wasserstein_1(samples[:, None], test[:, None])), float(deviation))


def _fractions(codes: Float64[Tensor, " n"], levels: int) -> Float64[Tensor, " levels"]:
    """The fraction of each code."""
    return torch.bincount(codes.long(), minlength=levels).double() / len(codes)


def _tv(p: Tensor, q: Tensor) -> float:
    return float((p - q).abs().sum() / 2)


def _variation(samples: Tensor, test: Tensor, levels: int, seed: int) -> Estimate:
    """Total variation with its standard error."""
    random = np.random.default_rng(seed)
    fractions = [_fractions(each, levels) for each in (samples, test)]
    resampled = [
        random.multinomial(len(each), p.numpy() / p.numpy().sum(), _RESAMPLES) / len(each)
        for each, p in zip((samples, test), fractions, strict=True)
    ]

    deviation = (np.abs(resampled[0] - resampled[1]).sum(1) / 2).std(ddof=1)
    return Estimate(_tv(*fractions), float(deviation))
