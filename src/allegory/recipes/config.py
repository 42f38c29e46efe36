"""The choices of a run as frozen dataclasses of plain values, each with `build`.

They hold strings, numbers, tuples and other configs, so a run is written to `run.json` and read
back without loss, and nothing in a run folder is ever executed. A model from outside the package is
a frozen dataclass with `build` and `unit`, and one call of `MODELS.register`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from torch import nn

from ..data import Dataset, DataSpec
from ..data.splits import subset
from ..lookup import Registry, pick, printable
from ..models import (
    VARIANCE_TARGETS,
    VDM,
    CategoricalOutput,
    Denoiser,
    Energy,
    LadderConfig,
    VAEConfig,
)
from ..networks import NetworkConfig
from ..objectives import objective_named
from ..process import SCALINGS, SCHEDULES, TARGETS, Path
from ..process.schedule import Arguments
from ..training import TrainingConfig

CATEGORICAL = "categorical"
"""The target of a network whose output is logits over the levels of the data."""
ENERGY = "energy"
"""The target of a network whose score is the gradient of a function of it."""

_ITEMS_FOR_STD = 10_000


@dataclass(frozen=True)
class PathConfig:
    """The choice of a Path: a schedule with its arguments, and a scaling.

    Args:
        schedule: name of the schedule, e.g. "linear" (log-SNR linear in t), "cosine", "learned",
            "geometric".
        start: log-SNR at t = 0, for schedules that have it; None becomes the schedule's default.
        end: log-SNR at t = 1, likewise. For "learned" both are those that it begins with.
        scaling: "vp", "sub_vp", "flow" or "ve".
        arguments: further arguments of the schedule by name, e.g. {"sigma_min": 0.01, "sigma_max":
            50.0}.

    Raises:
        ValueError: for an unknown name, or arguments that the schedule does not have.
    """

    schedule: str = "linear"
    start: float | None = None
    end: float | None = None
    scaling: str = "vp"
    arguments: Arguments = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        pick("schedule", self.schedule, SCHEDULES)
        pick("scaling", self.scaling, SCALINGS)
        known = inspect.signature(SCHEDULES[self.schedule]).parameters

        for name in ("start", "end"):
            if getattr(self, name) is None and name in known and name not in self.arguments:
                object.__setattr__(self, name, known[name].default)

        for name in self._given():
            if name not in known:
                names = ", ".join(known) or "none"
                raise ValueError(
                    f"schedule {self.schedule!r} has no {name}; leave it out "
                    f"(its arguments: {names})"
                )

    def build(self) -> Path:
        """The Path."""
        return Path(SCHEDULES[self.schedule](**self._given()), self.scaling)

    def _given(self) -> Arguments:
        """The arguments of the schedule that are not left to its defaults."""
        ends = {"start": self.start, "end": self.end}
        return {name: value for name, value in ends.items() if value is not None} | self.arguments


@runtime_checkable
class ModelConfig(Protocol):
    """The choice of a model: a frozen dataclass of plain values that builds it."""

    @property
    def unit(self) -> str:
        """The unit of the training loss, e.g. "bits/dim"."""
        ...

    def build(self, spec: DataSpec) -> nn.Module:
        """A new `Model` for data with this spec. ValueError where they do not fit."""
        ...


def _check_rows(model: ModelConfig, dataset: Dataset) -> None:
    """Refuse rows of a table for a model that would take their codes as numbers.

    The config of a model of such rows says so by an attribute `of_tables = True`.
    """
    if dataset.spec.table is None or getattr(model, "of_tables", False):
        return
    raise ValueError(
        f"{printable(dataset.name)}: {dataset.spec.table}; a {type(model).__name__} would take "
        "their codes as numbers: train the recipe table instead (`allegory fit TABLE`), or read "
        "columns of numbers alone, by FILE without table:"
    )


@runtime_checkable
class MeasuresData(Protocol):
    """A config with a field that may be left open, to be computed from the training data."""

    def resolved(self, dataset: Dataset) -> ModelConfig:
        """The same choice with nothing left open, as computed from the dataset."""
        ...


@runtime_checkable
class FitsData(Protocol):
    """A config whose model has parts that are fitted to the training data before it is trained."""

    def fit(self, model: nn.Module, dataset: Dataset) -> None:
        """Fit those parts of a new `model` to a `dataset`."""
        ...


MODELS: Registry[Callable[..., ModelConfig]] = Registry("model")
"""The config class of each model, by name."""


@dataclass(frozen=True)
class DiffusionConfig:
    """The choice of a diffusion model.

    Args:
        network: its network.
        path: the forward process.
        target: what the network predicts: a target ("x0", "eps", "score", "v", "flow", "edm"),
            the same with "+variance" ("v+variance") for the variance of the reverse step as well,
            which the objective "hybrid" trains; "categorical" for logits over the levels, or
            "energy".
        data_std: standard deviation of the data in model space; None computes it from the training
            data.
        objective: name of the training objective, e.g. "elbo" or "simple".
        condition_dropout: fraction of training items whose condition is hidden.

    Raises:
        ValueError: for an unknown name.
    """

    network: NetworkConfig
    path: PathConfig = field(default_factory=lambda: PathConfig("linear", start=10.0, end=-6.0))
    target: str = "edm"
    data_std: float | None = None
    objective: str = "elbo"
    condition_dropout: float = 0.1

    def __post_init__(self) -> None:
        pick(
            "target", self.target, dict.fromkeys((*TARGETS, *VARIANCE_TARGETS, CATEGORICAL, ENERGY))
        )
        objective_named(self.objective)

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return objective_named(self.objective).unit

    def resolved(self, dataset: Dataset) -> DiffusionConfig:
        """The same choice with the `data_std` of 10,000 training items, chosen by a fixed seed.

        ValueError where all their numbers are alike.
        """
        if self.data_std is not None:
            return self
        return replace(self, data_std=standard_deviation(dataset))

    def build(self, spec: DataSpec) -> VDM:
        """A new model for data with this spec.

        Raises:
            ValueError: where model and data do not fit, or `data_std` is open.
        """
        if self.data_std is None:
            raise ValueError("data_std=None: is computed from the data of a run; give a number")
        return VDM(
            self._denoiser(spec, self.data_std), spec, self.objective, self.condition_dropout
        )

    def _denoiser(self, spec: DataSpec, data_std: float) -> Denoiser | Energy:
        path = self.path.build()
        condition = spec.given
        if self.target == CATEGORICAL:
            if spec.levels is None:
                raise ValueError(
                    f"target={CATEGORICAL!r} needs data of finitely many levels; use target='edm' "
                    "(--model.target edm)"
                )
            outputs = spec.levels * spec.shape[0]
            network = self.network.build(spec.shape, condition, outputs=outputs)
            return Denoiser(network, path, CategoricalOutput(spec.values), data_std)

        if self.target in VARIANCE_TARGETS:
            network = self.network.build(spec.shape, condition, outputs=2 * spec.shape[0])
            return Denoiser(network, path, self.target, data_std)

        network = self.network.build(spec.shape, condition)
        if self.target == ENERGY:
            form = "scalar" if getattr(self.network, "scalar", False) else "inner_product"
            return Energy(network, path, data_std, form)

        return Denoiser(network, path, self.target, data_std)


def standard_deviation(dataset: Dataset) -> float:
    """That of all numbers of 10,000 training items in model space, chosen by a fixed seed.

    ValueError where all their numbers are alike.
    """
    x0 = dataset.spec.encode(subset(dataset.train, _ITEMS_FOR_STD).x)
    data_std = x0.double().std().item()

    if not data_std > 0:
        raise ValueError(
            f"{dataset.name}: all numbers of the training items are "
            f"{dataset.train.x.flatten()[0]:g}; a diffusion model needs items that vary"
        )

    return float(f"{data_std:.4g}")


MODELS.register("diffusion", DiffusionConfig, "a diffusion model: network, path, target, objective")
MODELS.register("vae", VAEConfig, "a variational autoencoder, or a Markov chain of latents")
MODELS.register("ladder", LadderConfig, "a ladder of latents, for images (Sønderby et al. 2016)")


@dataclass(frozen=True)
class Run:
    """What a recipe returns.

    Args:
        recipe: the name that it goes by.
        source: the data, as `allegory.data.load` reads them; "" for data in memory.
        model: the choice of the model.
        training: how it is trained.

    Raises:
        ValueError: for a model or a training that is no config.
    """

    recipe: str
    source: str
    model: ModelConfig
    training: TrainingConfig

    def __post_init__(self) -> None:
        if isinstance(self.model, type) or not isinstance(self.model, ModelConfig):
            raise ValueError(
                f"model={self.model!r}: give a config of a model, such as DiffusionConfig(...)"
            )
        if not isinstance(self.training, TrainingConfig):
            raise ValueError(f"training={self.training!r}: give a TrainingConfig(...)")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return self.model.unit

    def resolved(self, dataset: Dataset) -> Run:
        """The same run with nothing left open, as computed from the dataset.

        Raises:
            ValueError: for rows of a table, and a model that is not of such rows.
        """
        _check_rows(self.model, dataset)
        if not isinstance(self.model, MeasuresData):
            return self
        return replace(self, model=self.model.resolved(dataset))

    def build_model(self, dataset: Dataset) -> nn.Module:
        """A new model for this dataset."""
        model = self.model.build(dataset.spec)
        if isinstance(self.model, FitsData):
            self.model.fit(model, dataset)
        return model
