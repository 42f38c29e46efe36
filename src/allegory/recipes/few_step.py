"""The choice of a model of few steps, which `allegory distill` trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import torch
from torch import Tensor

from ..data import DataSpec
from ..distillation.config import DistillConfig
from ..lookup import pick
from ..models import CategoricalOutput
from ..models.few_step import FlowMapModel
from ..models.flow_map import FlowMapDenoiser
from ..networks import NetworkConfig
from ..process import TARGETS
from ..process.prediction import Predict
from ..sampling import Sampler
from .config import CATEGORICAL, MODELS, PathConfig
from .serialize import CONFIGS


@dataclass(frozen=True)
class FewStepConfig:
    """The choice of a model of few steps: the parts of its teacher, and the distillation.

    Args:
        network: its network, that of the teacher.
        path: the forward process.
        target: what the network predicts: "x0", "eps", "score", "v", "flow", "edm", or
            "categorical" for logits over the levels.
        data_std: standard deviation of the data in model space.
        distillation: method, steps and sampler.
        condition_dropout: fraction of training items whose condition is hidden.

    Raises:
        ValueError: for an unknown target.
    """

    network: NetworkConfig
    path: PathConfig = field(default_factory=PathConfig)
    target: str = "edm"
    data_std: float = 1.0
    distillation: DistillConfig = field(default_factory=DistillConfig)
    condition_dropout: float = 0.1

    def __post_init__(self) -> None:
        pick("target", self.target, dict.fromkeys((*TARGETS, CATEGORICAL)))

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return self.distillation.unit

    @property
    def sampler(self) -> Sampler:
        """How the model is sampled unless another sampler is given."""
        chosen = self.distillation
        return Sampler(chosen.solver or "flow_map", chosen.steps, chosen.spacing)

    def build(self, spec: DataSpec) -> FlowMapModel:
        """A new model for data with this spec, ready to sample.

        Raises:
            ValueError: where model and data do not fit.
        """
        target: str | CategoricalOutput = self.target
        outputs = None
        if self.target == CATEGORICAL:
            outputs = (spec.levels or 0) * spec.shape[0]
            target = CategoricalOutput(spec.values)

        network = self.network.build(spec.shape, spec.given, outputs=outputs)
        denoiser = FlowMapDenoiser(network, self.path.build(), target, self.data_std)
        # The path is the teacher's, also where that was learned.
        denoiser.path.requires_grad_(False)
        return FlowMapModel(
            denoiser,
            spec,
            NoTeacher(self.unit, self.distillation.jumps),
            self.sampler,
            self.condition_dropout,
        )


@dataclass(frozen=True)
class NoTeacher:
    """The objective of a model of few steps without its teacher: there is none.

    Args:
        unit: of the loss that it was trained by.
        jumps: which jumps it was trained on.
    """

    unit: str
    jumps: str

    def check(self, predict: Predict) -> None:
        """Any flow map can be sampled."""

    def __call__(
        self, predict: Predict, x0: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> NoReturn:
        """ValueError: the loss needs a teacher.

        Args:
            predict: the student.
            x0: clean items.
            condition: one row per item, or None.
            generator: where noise would be drawn from.
        """
        raise ValueError(
            "loss: a model of few steps learns from a teacher; train it by `allegory distill` (in "
            "Python allegory.distill)"
        )


CONFIGS.register("DistillConfig", DistillConfig, "method, steps and sampler of a distillation")
MODELS.register("few_step", FewStepConfig, "a flow map of few steps, by `allegory distill`")
