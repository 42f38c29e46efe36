"""What is fitted to a table before its network is trained: transforms of columns, and a mixture."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..data import Dataset, DataSpec
from ..models.table import LocationScale, RowEncoding, missing_places, schema_of
from ..numerics.column_transforms import ColumnTransforms, fit_transforms
from ..process.rows import (
    FittedMixture,
    ObservedRows,
    RowMixture,
    RowState,
)
from ..progress import progress
from .table_location import fit_location
from .table_search import Search

_FITTED = 20_000
"""To which the mixture is fitted, drawn by a fixed seed."""
_COLUMN = 5_000
"""Of those, to which the transforms are fitted."""
_NOISE = 3.0
"""log-SNR at t = 0, above that where noise has the variance of the narrowest component."""
_LOCATED = 0.4
"""The fraction of the time in which mean and scale are fitted to given columns."""
_STARTS = (7.0, 14.0)
"""The least and the largest log-SNR at t = 0."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What is fitted to a table before its network is trained.

    Args:
        location: mean and scale of the numbers from the given columns; None for 0 and 1.
        transforms: of the residuals.
        chosen: the mixture of the rows in model space; its criterion is in the units of the table.
        start: log-SNR at t = 0.
    """

    location: LocationScale | None
    transforms: ColumnTransforms
    chosen: FittedMixture
    start: float

    @property
    def mixture(self) -> RowMixture:
        """The mixture, with a wide component for outliers."""
        return self.chosen.mixture

    @property
    def score(self) -> float:
        """The criterion in nats: `process.rows.criterion`."""
        return self.chosen.score


@dataclass(frozen=True, eq=False)
class _Sides:
    """The rows of a table for fitting, and those for choosing, with some transforms.

    Args:
        location: mean and scale of the numbers from the given columns.
        components: of a transform, the numbers that were tried.
        transforms: of the residuals.
        train: rows in model space.
        held_out: likewise.
        volume: the mean of log |d model units / d numbers| of the held-out rows.
    """

    location: LocationScale | None
    components: tuple[int, ...]
    transforms: ColumnTransforms
    train: ObservedRows
    held_out: ObservedRows
    volume: float

    def in_units(self, found: FittedMixture) -> FittedMixture:
        """The same with the criterion in the units of the table."""
        return replace(found, score=found.score + self.volume)


_FOUND: WeakKeyDictionary[Dataset, dict[Search, Fitted]] = WeakKeyDictionary()
"""What has been fitted to the data that are in use."""


def fitted(dataset: Dataset, search: Search) -> Fitted:
    """The transforms and the mixture of the highest criterion (`process.rows.criterion`), fitted
    once: a search with the sizes that were found has the same result.

    Columns as they are and transformed are tried: a transform makes skewed columns simple, and
    linear relations between columns curved.

    Args:
        dataset: a table.
        search: what is tried.
    """
    found = _FOUND.setdefault(dataset, {})
    if search not in found:
        best = _fitted(dataset, search)

        units = 0 if best.location is None else best.location.units
        again = replace(
            search,
            components=len(best.mixture.weights) - 1,
            transform=best.transforms.means.shape[1],
            location=units,
        )
        found[search] = found[again] = best
    return found[search]


def _fitted(dataset: Dataset, search: Search) -> Fitted:
    """What is fitted to a table."""
    begin = time.monotonic()
    rows = _RawRows.of(dataset)
    parts = len(search.transforms) + 2

    with progress() as on_progress:
        on_progress("fitting mean and scale to given columns", 0, parts)
        *plain, last = rows.locations(search)

        found: list[tuple[FittedMixture, _Sides]] = []
        for done, components in enumerate(search.transforms, 1):
            on_progress("fitting a mixture to the rows", done, parts)
            found.append(rows.first(search, components, plain[0] if plain else last))
        if plain:
            found.append(rows.first(search, _best(found)[1].components, last))

        best, sides = _best(found)
        on_progress("fitting a mixture to the rows", parts - 1, parts)
        left = math.inf if search.seconds is None else search.seconds - (time.monotonic() - begin)
        more = search.more(sides.train, sides.held_out, left)
        if more is not None:
            best = max(best, sides.in_units(more), key=lambda each: each.score)

    return Fitted(sides.location, sides.transforms, best, _start(best.mixture))


def _best(found: list[tuple[FittedMixture, _Sides]]) -> tuple[FittedMixture, _Sides]:
    """That of the highest criterion."""
    return max(found, key=lambda each: each[0].score)


@dataclass(frozen=True, eq=False)
class _RawRows:
    """Raw rows of a table.

    Args:
        spec: of the table.
        every: for training.
        train: a part of these, for fitting a mixture.
        held_out: others, for choosing.
    """

    spec: DataSpec
    every: Tensor
    train: Tensor
    held_out: Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> _RawRows:
        """Those of a data set."""
        every = dataset.train.x.double()
        order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
        train = every[order[:_FITTED]]
        held_out = dataset.validation.x.double()[:_FITTED] if dataset.validation else train

        return cls(dataset.spec, every, train, held_out)

    def locations(self, search: Search) -> tuple[LocationScale | None, ...]:
        """What is tried for mean and scale of the numbers, fitted."""
        tried = search.locations(self.every, self.spec)
        seconds = math.inf if search.seconds is None else _LOCATED * search.seconds
        for location in tried:
            if location is not None:
                encoding = _untransformed(self.spec, location)
                fit_location(encoding, self.every, self.held_out, seconds)
        return tried

    def first(
        self, search: Search, components: tuple[int, ...], location: LocationScale | None
    ) -> tuple[FittedMixture, _Sides]:
        """A mixture of a few components, with transforms of so many."""
        sides = _sides(self.spec, self.train, self.held_out, components, location)
        generator = torch.Generator().manual_seed(1)
        return sides.in_units(search.first(sides.train, sides.held_out, generator)), sides


def refitted(dataset: Dataset, search: Search) -> RowMixture:
    """The mixture of a search, fitted to the rows for training and for validation.

    Args:
        dataset: a table.
        search: by which the transforms, the components and the prior were chosen.
    """
    base = fitted(dataset, search)
    parts = [part.x.double() for part in (dataset.train, dataset.validation) if part]
    generator = torch.Generator().manual_seed(0)
    raw = torch.cat(parts)
    raw = raw[torch.randperm(len(raw), generator=generator)[:_FITTED]]

    encoding = RowEncoding(dataset.spec, base.transforms, base.location)
    z = encoding.transforms(_residuals(encoding, raw, generator)[0].nan_to_num())[0]
    return base.chosen.refitted(_table_rows(dataset.spec, encoding, raw, z), generator)


def _sides(
    spec: DataSpec,
    train: Tensor,
    held_out: Tensor,
    components: tuple[int, ...],
    location: LocationScale | None,
) -> _Sides:
    """The rows in model space, with transforms of at most so many components."""
    generator = torch.Generator().manual_seed(1)
    encoding = _untransformed(spec, location)
    first_side, second_side = (_residuals(encoding, each, generator) for each in (train, held_out))
    transforms = fit_transforms(first_side[0][:_COLUMN], second_side[0][:_COLUMN], components)

    rows = []
    for raw, (r, log_scale) in zip((train, held_out), (first_side, second_side), strict=True):
        z, slope = transforms(r.nan_to_num())
        rows.append((_table_rows(spec, encoding, raw, z), slope.where(~r.isnan(), 0.0) - log_scale))
    (first, _), (second, volume) = rows
    return _Sides(location, components, transforms, first, second, float(volume.sum(1).mean()))


def _untransformed(spec: DataSpec, location: LocationScale | None) -> RowEncoding:
    """The encoding without transforms of columns."""
    return RowEncoding(spec, _none(len(schema_of(spec).numbers)), location)


def widened(transforms: ColumnTransforms, width: int) -> dict[str, Tensor]:
    """The state of transforms, with components of weight 0 up to a number.

    Args:
        transforms: which have that many components, or fewer.
        width: the number.
    """
    more = width - transforms.means.shape[1]
    fills = {"weights": 0.0, "means": 0.0, "stds": 1.0}
    return {
        name: nn.functional.pad(each, (0, more), value=fills[name])
        for name, each in transforms.state_dict().items()
    }


def _none(numbers: int) -> ColumnTransforms:
    """The identity."""
    one = torch.ones(numbers, 1).double()
    return ColumnTransforms(one, torch.zeros_like(one), one.clone())


def _residuals(
    encoding: RowEncoding, raw: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The numbers of raw rows before the transforms, NaN where they are missing, and the log of the
    scale that was taken out, 0 there.
    """
    numbers, tokens, is_missing = encoding.split(raw)
    u = torch.rand(numbers.shape, generator=generator, dtype=torch.float64)
    r, log_scale = encoding.residuals(encoding.scaled(numbers, u), tokens, is_missing)
    return r.masked_fill(is_missing, math.nan), log_scale.masked_fill(is_missing, 0.0)


def _table_rows(spec: DataSpec, encoding: RowEncoding, raw: Tensor, z: Tensor) -> ObservedRows:
    """Rows of transformed numbers."""
    _, tokens, is_missing = encoding.split(raw)
    schema = schema_of(spec)
    values = tuple(count for _, count in schema.tokens)
    return ObservedRows(RowState(z, tokens), ~is_missing, values, missing_places(schema))


def _start(mixture: RowMixture) -> float:
    """log-SNR at which noise is narrower in every direction than the components of the mixture, the
    last of which is for outliers.
    """
    if not mixture.means.shape[1]:
        return _STARTS[0]
    variances = torch.linalg.eigvalsh(mixture.covariances[:-1])
    narrowest = float(torch.quantile(variances[:, 0], 0.1))
    return min(max(_NOISE - math.log(narrowest), _STARTS[0]), _STARTS[1])
