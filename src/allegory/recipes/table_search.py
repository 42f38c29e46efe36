"""What is tried for the mean and scale, the transforms and the mixture of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import DataSpec
from ..models.table import LocationScale
from ..process.rows import FittedMixture, ObservedRows, best_mixture
from .table_location import LEAST, UNITS, new_location

_TRANSFORMS = ((1,), (1, 2, 4, 8), (1, 2, 4, 8, 16, 32))
"""Components of the transform of a column that are tried."""
_FIRST = 8
"""Components of a mixture with which transforms are compared."""


@dataclass(frozen=True)
class Search:
    """What is tried for transforms and mixture.

    Args:
        seconds: the time; None for no limit.
        most: the largest number of components of the mixture.
        components: that number, where it is given.
        transform: the largest number of components of a transform, where it is given.
        location: units of the network of mean and scale, where they are given; 0 for no network.
    """

    seconds: float | None
    most: int
    components: int | None = None
    transform: int | None = None
    location: int | None = None

    def locations(self, train: Tensor, spec: DataSpec) -> tuple[LocationScale | None, ...]:
        """What is tried for mean and scale of the numbers.

        Args:
            train: rows that they are fitted to.
            spec: of the table.
        """
        if self.location is not None:
            return (new_location(spec, self.location),)
        found = new_location(spec, UNITS if len(train) >= LEAST else 0)
        return (None,) if found is None else (None, found)

    @property
    def transforms(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of components of a transform, which are tried together."""
        if self.transform is None:
            return _TRANSFORMS
        return (tuple(sorted({each for each in _TRANSFORMS[-1] if each <= self.transform})),)

    def first(
        self, train: ObservedRows, held_out: ObservedRows, generator: torch.Generator
    ) -> FittedMixture:
        """The best mixture of a few components, or of a given number.

        Args:
            train: the rows that it is fitted to.
            held_out: the rows by which its number of components and its prior are chosen.
            generator: where the beginnings are drawn from.
        """
        sizes = (1, min(_FIRST, self.most))
        if self.components is not None:
            sizes = (self.components, self.components)
        part = math.inf if self.seconds is None else self.seconds / 2 / len(self.transforms)
        return best_mixture(train, held_out, generator, part, sizes)

    def more(
        self, train: ObservedRows, held_out: ObservedRows, seconds: float
    ) -> FittedMixture | None:
        """The best mixture of more components; None where there can be none.

        Args:
            train: the rows that it is fitted to.
            held_out: the rows by which its number of components and its prior are chosen.
            seconds: the time.
        """
        most = min(self.most, len(train) // 10)
        if self.components is not None or most < 2 * _FIRST or seconds <= 0:
            return None
        generator = torch.Generator().manual_seed(2)
        return best_mixture(train, held_out, generator, seconds, (2 * _FIRST, most))
