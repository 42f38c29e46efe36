"""The choice of a diffusion model of tables, and what is fitted before it is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from ..data import Dataset, DataSpec
from ..lookup import check_count
from ..models.table import (
    RowDenoiser,
    RowEncoding,
    RowFeatures,
    TableDiffusion,
    missing_places,
    schema_of,
)
from ..networks import MLPConfig, NetworkConfig
from ..numerics.column_transforms import ColumnTransforms, fit_transforms
from ..process import Path
from ..process.rows import ObservedRows, RowMixture, RowPath, best_mixture, fit_mixture
from ..process.schedule import LinearLogSNR
from .config import MODELS

_END = -9.0
"""log-SNR at t = 1: standard normal noise."""
_FITTED = 10_000
"""To which the mixture is fitted, drawn by a fixed seed."""
_TRANSFORMS = ((1,), (1, 2, 4, 8), (1, 2, 4, 8, 16, 32))
"""Components of the transform of a column that are tried."""
_STRENGTHS = (0.03, 1.0)
"""Of the prior of a mixture with a given number of components."""
_NOISE = 3.0
"""log-SNR at t = 0, above that where noise has the variance of the narrowest component."""
_STARTS = (7.0, 14.0)
"""The least and the largest log-SNR at t = 0."""


@dataclass(frozen=True)
class TableDiffusionConfig:
    """The choice of a diffusion model of the rows of a table.

    Args:
        network: its network.
        components: of the mixture that the network corrects; None chooses it by validation rows.
        transform: the largest number of components of the transform of a column, likewise.
        start: log-SNR at t = 0; None takes it from the mixture.
        fourier: exponents n of the features sin(2^n x), cos(2^n x) of the numbers.
        known_fraction: the fraction of training steps in which some columns are known.
        seconds: the time for fitting transforms and mixture; None for no limit.
        most_components: of the mixture, where their number is chosen.

    Raises:
        ValueError: for numbers below 1, and a fraction outside [0, 1].
    """

    network: NetworkConfig = field(default_factory=lambda: MLPConfig(width=128, depth=3))
    components: int | None = None
    transform: int | None = None
    start: float | None = None
    fourier: tuple[int, ...] = (0, 1, 2, 3)
    known_fraction: float = 0.25
    seconds: float | None = 30.0
    most_components: int = 64

    def __post_init__(self) -> None:
        for name in ("components", "transform"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1, 4096)
        if not 0 <= self.known_fraction <= 1:
            raise ValueError(f"known_fraction={self.known_fraction}; give a fraction from 0 to 1")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "nats/dim"

    def resolved(self, dataset: Dataset) -> TableDiffusionConfig:
        """The same choice with the sizes of the mixture and of the transforms, fitted to the data.

        Raises:
            ValueError: for data that are no table.
        """
        if self.components is not None and self.transform is not None and self.start is not None:
            return self
        base = fitted(dataset, self._search)

        return replace(
            self,
            components=len(base.mixture.weights),
            transform=base.transforms.means.shape[1],
            start=base.start,
        )

    def build(self, spec: DataSpec) -> TableDiffusion:
        """A new model for tables with this spec, whose mixture is not fitted yet.

        Raises:
            ValueError: for data that are no table, and sizes that are open.
        """
        schema = schema_of(spec)
        if self.components is None or self.transform is None or self.start is None:
            raise ValueError("components=None: is fitted to the data of a run; give numbers")
        values = tuple(count for _, count in schema.tokens)
        d, k, v = len(schema.numbers), len(values), max((*values, 2))

        mixture = RowMixture(
            torch.ones(self.components).double(),
            torch.zeros(self.components, d).double(),
            torch.eye(d).double().expand(self.components, d, d).clone(),
            torch.full((self.components, k, v), 1 / v).double(),
            missing_places(schema),
        )
        shape = (d, self.transform)
        transforms = ColumnTransforms(*(torch.ones(shape).double() for _ in range(3)))
        features = RowFeatures(d, values, tuple(self.fourier))
        network = self.network.build((features.inputs,), None, outputs=features.outputs)
        path = RowPath(Path(LinearLogSNR(self.start, _END)), v)
        denoiser = RowDenoiser(network, path, mixture, features)
        return TableDiffusion(denoiser, RowEncoding(spec, transforms), spec, self.known_fraction)

    def fit(self, model: nn.Module, dataset: Dataset) -> None:
        """Fit transforms and mixture of a new model to the data.

        Args:
            model: what `build` returned.
            dataset: the data.
        """
        base = fitted(dataset, self._search)
        model = cast(TableDiffusion, model)
        model.denoise.mixture.load_state_dict(base.mixture.state_dict())
        model.encoding.transforms.load_state_dict(_widened(base.transforms, self.transform or 1))

    @property
    def _search(self) -> Search:
        """What is tried; sizes that were chosen by the data are found again."""
        return Search(self.seconds, self.most_components, self.components, self.transform)


MODELS.register("table_diffusion", TableDiffusionConfig, "a diffusion model of the rows of a table")


@dataclass(frozen=True, eq=False)
class Fitted:
    """What is fitted to a table before its network is trained.

    Args:
        transforms: of the numbers.
        mixture: of the rows in model space.
        start: log-SNR at t = 0.
        score: mean log-probability of the validation rows, in nats.
    """

    transforms: ColumnTransforms
    mixture: RowMixture
    start: float
    score: float


@dataclass(frozen=True)
class Search:
    """What is tried for transforms and mixture.

    Args:
        seconds: the time; None for no limit.
        most: the largest number of components of the mixture.
        components: that number, where it is given.
        transform: the largest number of components of a transform, where it is given.
    """

    seconds: float | None
    most: int
    components: int | None = None
    transform: int | None = None

    @property
    def transforms(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of components of a transform, which are tried together."""
        if self.transform is None:
            return _TRANSFORMS
        return (tuple(sorted({each for each in _TRANSFORMS[-1] if each <= self.transform})),)

    def mixture(
        self, train: ObservedRows, held_out: ObservedRows, generator: torch.Generator
    ) -> tuple[RowMixture, float]:
        """The best mixture, and its score by held-out rows.

        Args:
            train: the rows that it is fitted to.
            held_out: the rows by which its number of components and its prior are chosen.
            generator: where the beginnings are drawn from.
        """
        if self.components is None:
            part = math.inf if self.seconds is None else self.seconds / len(self.transforms)
            return best_mixture(train, held_out, generator, part, self.most)

        made = [fit_mixture(train, self.components, each, generator) for each in _STRENGTHS]
        scores = [float(each.log_prob(held_out.rows).mean()) for each in made]
        best = max(range(len(made)), key=scores.__getitem__)
        return made[best], scores[best]


@lru_cache(maxsize=1)
def fitted(dataset: Dataset, search: Search) -> Fitted:
    """The transforms and the mixture of the highest log-probability of validation rows.

    Columns as they are and transformed are tried: a transform makes skewed columns simple, and
    linear relations between columns curved.

    Args:
        dataset: a table.
        search: what is tried.
    """
    generator = torch.Generator().manual_seed(0)
    train = dataset.train.x.double()
    train = train[torch.randperm(len(train), generator=generator)[:_FITTED]]
    held_out = dataset.validation.x.double()[:_FITTED] if dataset.validation else train
    best: Fitted | None = None

    for components in search.transforms:
        found = _fit(dataset.spec, train, held_out, components, search)
        if best is None or found.score > best.score:
            best = found

    assert best is not None
    return best


def _fit(
    spec: DataSpec,
    train: Tensor,
    held_out: Tensor,
    components: tuple[int, ...],
    search: Search,
) -> Fitted:
    """Transforms with at most so many components, and the best mixture with them."""
    generator = torch.Generator().manual_seed(1)
    encoding = RowEncoding(spec, _none(len(schema_of(spec).numbers)))
    first_side, second_side = (_scaled(encoding, each, generator) for each in (train, held_out))
    transforms = fit_transforms(first_side, second_side, components)

    rows = []
    for raw, x in zip((train, held_out), (first_side, second_side), strict=True):
        z, slope = transforms(x.nan_to_num())
        rows.append((_table_rows(spec, encoding, raw, z), torch.where(x.isnan(), 0.0, slope)))
    (first, _), (second, volume) = rows
    mixture, score = search.mixture(first, second, generator)

    return Fitted(transforms, mixture, _start(mixture), score + float(volume.sum(1).mean()))


def _widened(transforms: ColumnTransforms, width: int) -> dict[str, Tensor]:
    """The state of transforms, with components of weight 0 up to a number."""
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


def _scaled(encoding: RowEncoding, raw: Tensor, generator: torch.Generator) -> Tensor:
    """The numbers of raw rows before the transforms, NaN where they are missing."""
    numbers, _, is_missing = encoding.split(raw)
    u = torch.rand(numbers.shape, generator=generator, dtype=torch.float64)
    return encoding.scaled(numbers, u).masked_fill(is_missing, math.nan)


def _table_rows(spec: DataSpec, encoding: RowEncoding, raw: Tensor, z: Tensor) -> ObservedRows:
    """Rows of transformed numbers."""
    from ..process.rows import RowState

    _, tokens, is_missing = encoding.split(raw)
    schema = schema_of(spec)
    values = tuple(count for _, count in schema.tokens)
    return ObservedRows(RowState(z, tokens), ~is_missing, values, missing_places(schema))


def _start(mixture: RowMixture) -> float:
    """log-SNR at which noise is narrower than the mixture in every direction."""
    if not mixture.means.shape[1]:
        return _STARTS[0]
    variances = torch.linalg.eigvalsh(mixture.covariances)
    narrowest = float(torch.quantile(variances[:, 0], 0.1))
    return min(max(_NOISE - math.log(narrowest), _STARTS[0]), _STARTS[1])
