"""The choice of a model of few steps, which `allegory distill` trains."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NoReturn

import torch
from torch import Tensor

from ..data import Dataset, DataSpec
from ..distillation.config import DistillConfig
from ..distillation.self_distillation import SelfDistillation
from ..lookup import pick
from ..models import CategoricalOutput
from ..models.few_step import FlowMapModel
from ..models.flow_map import FlowMapDenoiser
from ..networks import NetworkConfig
from ..objectives import Objective
from ..process import TARGETS
from ..process.prediction import Predict
from ..sampling import Sampler
from ..sampling.flow_map import STUDENT_SPACING
from .config import CATEGORICAL, MODELS, PathConfig, standard_deviation
from .serialize import CONFIGS


@dataclass(frozen=True)
class FewStepConfig:
    """The choice of a model of few steps: the parts of its teacher, and the distillation.

    Args:
        network: its network, that of the teacher.
        path: the forward process.
        target: what the network predicts: "x0", "eps", "score", "v", "flow", "edm", or
            "categorical" for logits over the levels.
        data_std: standard deviation of the data in model space; None computes it from the training
            data.
        distillation: method, steps and sampler.
        condition_dropout: fraction of training items whose condition is hidden.
        from_data: whether it learns from the data alone, by the method "flowmap", and not from a
            teacher.

    Raises:
        ValueError: for an unknown target, and another method or guidance without a teacher.
    """

    network: NetworkConfig
    path: PathConfig = field(default_factory=PathConfig)
    target: str = "edm"
    data_std: float | None = None
    distillation: DistillConfig = field(default_factory=DistillConfig)
    condition_dropout: float = 0.1
    from_data: bool = False

    def __post_init__(self) -> None:
        pick("target", self.target, dict.fromkeys((*TARGETS, CATEGORICAL)))
        if self.from_data and self.distillation.method != "flowmap":
            raise ValueError(
                f"method={self.distillation.method!r}: learns from a teacher; from data alone a "
                "flow map is trained by method='flowmap'"
            )

        guidance = self.distillation.guide or self.distillation.largest_scale
        if self.from_data and guidance is not None:
            raise ValueError(
                f"guide={self.distillation.guide!r}, "
                f"largest_scale={self.distillation.largest_scale}: guidance is learned from a "
                "teacher; leave both out"
            )

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return self.distillation.unit

    @property
    def sampler(self) -> Sampler:
        """How the model is sampled unless another sampler is given."""
        chosen = self.distillation
        spacing = STUDENT_SPACING if chosen.spacing == "angle" else chosen.spacing
        return Sampler(chosen.solver or "flow_map", chosen.steps, spacing)

    def resolved(self, dataset: Dataset) -> FewStepConfig:
        """The same choice with the `data_std` of the training items of the dataset."""
        if self.data_std is not None:
            return self
        return replace(self, data_std=standard_deviation(dataset))

    def build(self, spec: DataSpec) -> FlowMapModel:
        """A new model for data with this spec, ready to sample.

        Raises:
            ValueError: where model and data do not fit, or `data_std` is open.
        """
        if self.data_std is None:
            raise ValueError("data_std=None: is computed from the data of a run; give a number")
        target: str | CategoricalOutput = self.target
        outputs = None
        if self.target == CATEGORICAL:
            outputs = (spec.levels or 0) * spec.shape[0]
            target = CategoricalOutput(spec.values)

        network = self.network.build(spec.shape, spec.given, outputs=outputs)
        denoiser = FlowMapDenoiser(
            network,
            self.path.build(),
            target,
            self.data_std,
            guided=self.distillation.largest_scale is not None,
        )
        # The path is the teacher's, also where that was learned.
        denoiser.path.requires_grad_(False)
        chosen = self.distillation

        objective: Objective = NoTeacher(self.unit, chosen.jumps, chosen.largest_scale)
        if self.from_data:
            objective = SelfDistillation(None, chosen.identity or "semigroup")
        return FlowMapModel(denoiser, spec, objective, self.sampler, self.condition_dropout)


@dataclass(frozen=True)
class NoTeacher:
    """The objective of a model of few steps without its teacher: there is none.

    Args:
        unit: of the loss that it was trained by.
        jumps: which jumps it was trained on.
        highest: the largest scale of guidance it was trained on; None where that is no input.
    """

    unit: str
    jumps: str
    highest: float | None = None

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
