"""The choices of a run as plain values, each beside what it builds.

A Run is what a recipe returns: spec, model, training. It holds strings, numbers and tuples only, so it is written to
`run.json` and read back without loss, and nothing in a run folder is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..data import Dataset, DataSpec
from ..lookup import pick
from ..models import (
    VDM,
    CategoricalOutput,
    Denoiser,
    Energy,
    LadderConfig,
    LatentVariableModel,
    VAEConfig,
)
from ..networks import DiTConfig, Labels, MLPConfig, PotentialConfig, UNetConfig
from ..objectives import objective_named
from ..process import SCALINGS, TARGETS, Cosine, LearnedSchedule, LinearLogSNR, Path
from ..training import TrainingConfig

NetworkConfig = UNetConfig | DiTConfig | MLPConfig | PotentialConfig
SCHEDULES = {"linear": LinearLogSNR, "cosine": Cosine, "learned": LearnedSchedule}
CATEGORICAL, ENERGY = "categorical", "energy"
MEASURED = 10_000


@dataclass(frozen=True)
class PathConfig:
    """A path with finite ends: the schedule's curve, its log-SNR at t = 0 and t = 1, and the scaling.

    For the schedule "learned" the ends are those it begins with.
    """

    schedule: str = "linear"
    start: float = 10.0
    end: float = -6.0
    scaling: str = "vp"

    def __post_init__(self) -> None:
        pick("schedule", self.schedule, SCHEDULES)
        pick("scaling", self.scaling, SCALINGS)

    def build(self) -> Path:
        """The Path."""
        return Path(SCHEDULES[self.schedule](self.start, self.end), self.scaling)


@dataclass(frozen=True)
class DiffusionConfig:
    """A diffusion model: network, path, what the network predicts (a target, "categorical",
    or "energy": then the score is the gradient of a function of the network), and the training weight.
    """

    network: NetworkConfig
    path: PathConfig = field(default_factory=PathConfig)
    target: str = "edm"
    data_std: float | None = None
    weight: str = "elbo"
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        pick("target", self.target, dict.fromkeys((*TARGETS, CATEGORICAL, ENERGY)))
        objective_named(self.weight)

    def build(self, spec: DataSpec) -> VDM:
        """The model for data of this kind. ValueError when they do not fit, with the remedy."""
        if self.data_std is None:
            raise ValueError(
                "data_std=None: is measured when a run is carried out; give a number to build a model"
            )
        condition = None if spec.classes is None else Labels(spec.classes)
        return VDM(self._denoiser(spec, condition), spec, self.weight, self.label_dropout)

    def _denoiser(self, spec: DataSpec, condition: Labels | None) -> Denoiser | Energy:
        path = self.path.build()
        assert self.data_std is not None
        if self.target == ENERGY:
            form = "scalar" if isinstance(self.network, PotentialConfig) else "inner_product"
            return Energy(self.network.build(spec.shape, condition), path, self.data_std, form)
        if self.target != CATEGORICAL:
            return Denoiser(
                self.network.build(spec.shape, condition), path, self.target, self.data_std
            )
        if spec.levels is None:
            raise ValueError(
                f"target={CATEGORICAL!r} needs data of finitely many levels; use target='edm'"
            )
        network = self.network.build(spec.shape, condition, outputs=spec.levels * spec.shape[0])
        return Denoiser(network, path, CategoricalOutput(spec.values), self.data_std)


@dataclass(frozen=True)
class Run:
    """What a recipe returns: the name it goes by, the data it learns, the model and how it is trained."""

    recipe: str
    source: str
    model: DiffusionConfig | VAEConfig | LadderConfig
    training: TrainingConfig

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        weight = self.model.weight if isinstance(self.model, DiffusionConfig) else "elbo"
        return objective_named(weight).unit

    def resolved(self, dataset: Dataset) -> Run:
        """The same run with nothing left open: of diffusion data_std as measured on training data, in model space."""
        if not isinstance(self.model, DiffusionConfig) or self.model.data_std is not None:
            return self
        some = dataset.spec.encode(dataset.train.x[:MEASURED])
        return replace(self, model=replace(self.model, data_std=round(some.std().item(), 4)))

    def build_model(self, dataset: Dataset) -> VDM | LatentVariableModel:
        """A new model for this data set."""
        return self.model.build(dataset.spec)
