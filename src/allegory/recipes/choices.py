"""The choices of a run as plain values, each beside what it builds.

A Run is what a recipe returns: data, model, training. It holds strings, numbers and tuples only, so it is written to
`run.json` and read back without loss, and nothing in a run folder is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..data import Data, Dataset
from ..models import VDM, Categorical, Denoiser, Energy, LadderConfig, LatentModel, VAEConfig
from ..models.diffusion import DUAL, unit_of
from ..names import pick
from ..networks import DiTConfig, Labels, MLPConfig, ScalarConfig, UNetConfig
from ..objectives import WEIGHTS
from ..process import ROWS, SPLITS, Cosine, Learned, Linear, Path
from ..training import Training

NetworkConfig = UNetConfig | DiTConfig | MLPConfig | ScalarConfig
SCHEDULES = {"linear": Linear, "cosine": Cosine, "learned": Learned}
CATEGORICAL, ENERGY = "categorical", "energy"
MEASURED = 10_000


@dataclass(frozen=True)
class PathChoice:
    """A path with finite ends: the schedule's curve, its log-SNR at t = 0 and t = 1, and the split.

    For the schedule "learned" the ends are those it begins with.
    """

    schedule: str = "linear"
    start: float = 10.0
    end: float = -6.0
    split: str = "vp"

    def __post_init__(self) -> None:
        pick("schedule", self.schedule, SCHEDULES)
        pick("split", self.split, SPLITS)

    def build(self) -> Path:
        """The Path."""
        return Path(SCHEDULES[self.schedule](self.start, self.end), self.split)


@dataclass(frozen=True)
class ModelChoice:
    """A diffusion model: network, path, what the network predicts (a row, "categorical",
    or "energy": then the score is the gradient of a function of the network), and the training weight.
    """

    network: NetworkConfig
    path: PathChoice = field(default_factory=PathChoice)
    row: str = "edm"
    data_std: float | None = None
    weight: str = "elbo"
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        pick("row", self.row, dict.fromkeys((*ROWS, CATEGORICAL, ENERGY)))
        pick("weight", self.weight, dict.fromkeys((*WEIGHTS, DUAL)))

    def build(self, data: Data) -> VDM:
        """The model for data of this kind. ValueError when they do not fit, with the remedy."""
        if self.data_std is None:
            raise ValueError("data_std=None: is measured when a run is carried out; give a number to build a model")
        condition = None if data.classes is None else Labels(data.classes)
        return VDM(self._denoiser(data, condition), data, self.weight, self.label_dropout)

    def _denoiser(self, data: Data, condition: Labels | None) -> Denoiser | Energy:
        path = self.path.build()
        assert self.data_std is not None
        if self.row == ENERGY:
            read = "scalar" if isinstance(self.network, ScalarConfig) else "inner"
            return Energy(self.network.build(data.shape, condition), path, self.data_std, read)
        if self.row != CATEGORICAL:
            return Denoiser(self.network.build(data.shape, condition), path, self.row, self.data_std)
        if data.levels is None:
            raise ValueError(f"row={CATEGORICAL!r} needs data of finitely many levels; use row='edm'")
        network = self.network.build(data.shape, condition, outputs=data.levels * data.shape[0])
        return Denoiser(network, path, Categorical(data.values), self.data_std)


@dataclass(frozen=True)
class Run:
    """What a recipe returns: the name it goes by, the data it learns, the model and how it is trained."""

    recipe: str
    data: str
    model: ModelChoice | VAEConfig | LadderConfig
    training: Training

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return unit_of(self.model.weight if isinstance(self.model, ModelChoice) else "elbo")

    def resolved(self, dataset: Dataset) -> Run:
        """The same run with nothing left open: of diffusion data_std as measured on training data, in model space."""
        if not isinstance(self.model, ModelChoice) or self.model.data_std is not None:
            return self
        some = dataset.spec.encode(dataset.train.x[:MEASURED])
        return replace(self, model=replace(self.model, data_std=round(some.std().item(), 4)))

    def fit_to(self, dataset: Dataset) -> VDM | LatentModel:
        """A new model for this data set."""
        return self.model.build(dataset.spec)
