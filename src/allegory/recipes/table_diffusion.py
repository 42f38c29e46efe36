"""The choice of a diffusion model of tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
from torch import nn

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
from ..numerics.column_transforms import ColumnTransforms
from ..process import Path
from ..process.rows import RowMixture, RowPath
from ..process.schedule import LinearLogSNR
from .config import MODELS
from .table_fitting import fitted, refitted, widened
from .table_location import new_location
from .table_search import Search

_END = -9.0
"""log-SNR at t = 1: standard normal noise."""
FITTING = 0.2
"""The fraction of the time of a run in which transforms and mixture are fitted."""
_FOURIER, _FOURIER_GIVEN = (1,), (0, 1, 2, 3)
"""Exponents of the sinusoids, of densities and of conditional densities."""
_COMPONENTS = 16
"""The most components of a mixture whose fit has no limit of time."""


@dataclass(frozen=True)
class TableDiffusionConfig:
    """The choice of a diffusion model of the rows of a table.

    Args:
        network: its network.
        components: of the mixture that the network corrects, besides one for outliers; None chooses
            their number by validation rows.
        transform: the largest number of components of the transform of a column, likewise.
        location: units of the network that takes mean and scale of the columns out, from those that
            are given; 0 for none, None chooses by validation rows.
        start: log-SNR at t = 0; None takes it from the mixture.
        fourier: exponents n of the features sin(2^n x), cos(2^n x) of the numbers; None is 1, and
            0 to 3 for tables with given columns, on which numbers often depend sharply.
        known_fraction: the fraction of training steps in which some columns are known.
        seconds: the time for fitting transforms and mixture; None for no limit.
        most_components: of the mixture, where their number is chosen.

    Raises:
        ValueError: for numbers below 1, and a fraction outside [0, 1].
    """

    of_tables: ClassVar[bool] = True

    network: NetworkConfig = field(default_factory=lambda: MLPConfig(width=128, depth=3))
    components: int | None = None
    transform: int | None = None
    location: int | None = None
    start: float | None = None
    fourier: tuple[int, ...] | None = None
    known_fraction: float = 0.25
    seconds: float | None = 30.0
    most_components: int = 128

    def __post_init__(self) -> None:
        for name in ("components", "transform"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1, 4096)
        if self.location is not None:
            check_count("location", self.location, 0, 4096)
        if not 0 <= self.known_fraction <= 1:
            raise ValueError(f"known_fraction={self.known_fraction}; give a fraction from 0 to 1")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "nats/dim"

    def within(self, minutes: float | None) -> TableDiffusionConfig:
        """The same choice, with a fifth of so many minutes for fitting transforms and mixture.

        Args:
            minutes: of a run; without them no choice depends on the clock.
        """
        if minutes is None:
            return replace(self, seconds=None, most_components=_COMPONENTS)
        return replace(self, seconds=60 * minutes * FITTING)

    def resolved(self, dataset: Dataset) -> TableDiffusionConfig:
        """The same choice with the sizes of the mixture and of the transforms, fitted to the data.

        Raises:
            ValueError: for data that are no table.
        """
        if self._is_resolved:
            return self
        base = fitted(dataset, self._search)
        is_given = bool(schema_of(dataset.spec).given)

        return replace(
            self,
            fourier=self.fourier or (_FOURIER_GIVEN if is_given else _FOURIER),
            components=len(base.mixture.weights) - 1,
            transform=base.transforms.means.shape[1],
            location=0 if base.location is None else base.location.units,
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
        m = self.components + 1

        mixture = RowMixture(
            torch.ones(m).double(),
            torch.zeros(m, d).double(),
            torch.eye(d).double().expand(m, d, d).clone(),
            torch.full((m, k, v), 1 / v).double(),
            missing_places(schema),
        )
        shape = (d, self.transform)
        transforms = ColumnTransforms(*(torch.ones(shape).double() for _ in range(3)))
        features = RowFeatures(d, values, tuple(self.fourier or _FOURIER))
        network = self.network.build((features.inputs,), None, outputs=features.outputs)
        path = RowPath(Path(LinearLogSNR(self.start, _END)), v)
        denoiser = RowDenoiser(network, path, mixture, features)
        encoding = RowEncoding(spec, transforms, new_location(spec, self.location or 0))
        return TableDiffusion(denoiser, encoding, spec, self.known_fraction)

    def fit(self, model: nn.Module, dataset: Dataset) -> None:
        """Fit transforms and mixture of a new model to the data.

        Args:
            model: what `build` returned.
            dataset: the data.
        """
        base = fitted(dataset, self._search)
        model = cast(TableDiffusion, model)
        model.denoise.mixture.load_state_dict(base.mixture.state_dict())
        model.encoding.transforms.load_state_dict(widened(base.transforms, self.transform or 1))
        if model.encoding.location is not None and base.location is not None:
            model.encoding.location.load_state_dict(base.location.state_dict())

    def refit(self, model: nn.Module, dataset: Dataset) -> None:
        """Fit the mixture of a model to the rows for validation too, where it is used alone.

        Args:
            model: what `fit` was given.
            dataset: the data.
        """
        mixture = refitted(dataset, self._search)
        cast(TableDiffusion, model).denoise.mixture.load_state_dict(mixture.state_dict())

    @property
    def _is_resolved(self) -> bool:
        """Whether nothing depends on the data."""
        chosen = (self.components, self.transform, self.location, self.start, self.fourier)
        return None not in chosen

    @property
    def _search(self) -> Search:
        """What is tried; sizes that were chosen by the data are found again."""
        return Search(
            self.seconds, self.most_components, self.components, self.transform, self.location
        )


MODELS.register("table_diffusion", TableDiffusionConfig, "a diffusion model of the rows of a table")
