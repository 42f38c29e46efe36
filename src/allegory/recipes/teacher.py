"""The teacher of a distillation: the parts of a trained model that its student begins with."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..distillation.config import DEFAULT_TEACHER_STEPS, DistillConfig
from ..models import CategoricalOutput, Denoiser
from ..models.base import (
    HasJumps,
    HasTrajectory,
    is_conditional,
    refuse_latents,
    refuse_rows,
    refuse_tokens,
)
from ..models.few_step import FlowMapModel
from ..networks import NetworkConfig
from ..process.guide import check_consistent
from ..process.guide_items import check_items
from ..process.prediction import Predict, Target
from ..sampling import Sampler
from .config import PathConfig
from .derive import path_config, target_name
from .few_step import FewStepConfig
from .run_folder import RunFolder


@dataclass(frozen=True)
class Teacher:
    """A trained model, and the configs of its parts.

    Args:
        folder: its run.
        model: the model, whose weights do not change.
        network: its network.
        path: its forward process.
        target: what its network predicts.
    """

    folder: RunFolder
    model: Any
    network: NetworkConfig
    path: PathConfig
    target: str

    @classmethod
    def of(cls, folder: RunFolder) -> Teacher:
        """The model of a run as a teacher.

        Args:
            folder: the run.

        Raises:
            ValueError: for a model without a denoiser of x0 and eps alone, and parts that no config
                describes.
        """
        instead = "for fewer evaluations give `allegory sample` fewer --steps"
        refuse_rows(folder.spec, f"RUN {str(folder.path)!r}", instead)
        model = folder.model()
        refuse_tokens(model, f"RUN {str(folder.path)!r}", instead)
        denoiser = _denoiser(folder, model)
        refuse_latents(model, f"RUN {str(folder.path)!r}")

        name = target_name(denoiser)
        network, path = getattr(denoiser.network, "config", None), path_config(denoiser.path)
        if name is None or network is None or path is None:
            part = "target" if name is None else "network" if network is None else "path"
            raise ValueError(
                f"RUN {str(folder.path)!r}: no config describes its {part}; build the model from "
                "registered parts"
            )
        return cls(folder, model.requires_grad_(False), network, path, name)

    @property
    def is_flow_map(self) -> bool:
        """Whether it is itself a model of few steps."""
        return isinstance(self.model, HasJumps)

    def student(self, config: DistillConfig) -> FewStepConfig:
        """The config of a student, with no choice left open.

        Args:
            config: the choices of the distillation.

        Raises:
            ValueError: for choices that this teacher does not allow.
        """
        resolved = self._resolved(config) if self.is_flow_map else config
        if resolved.method == "progressive" and resolved.teacher_steps is None:
            resolved = replace(resolved, teacher_steps=DEFAULT_TEACHER_STEPS)

        self.predict(resolved.guide)  # refuses a guide that does not fit
        self._check_scale(resolved.largest_scale)
        dropout = self.model.condition_dropout
        std = self.model.denoiser.data_std
        network = without_dropout(self.network)
        return FewStepConfig(network, self.path, self.target, std, resolved, dropout)

    def predict(self, guide: str | None) -> Predict:
        """The denoiser, or the flow map, under a guide.

        Args:
            guide: its name; None for none.

        Raises:
            ValueError: for a guide that does not fit the model.
        """
        if guide is None:
            predict: Predict = self.model.denoiser
            return predict

        spec = self.model.spec
        sampler = Sampler(guide=guide).bound_to(spec.given)
        check_items(sampler.guides, spec)
        needs_one = any(getattr(each, "needs_condition", False) for each in sampler.guides)
        if needs_one and not is_conditional(self.model):
            raise ValueError(f"--guide {guide}: this run has no condition; leave it out")

        guided = sampler.guided(self.model.denoiser)
        check_consistent(guided, f"--guide {guide}", "take cfg")
        return guided

    def start(self, student: FlowMapModel) -> None:
        """Give a student these weights, so that its jumps are DDIM steps of the denoiser, or those
        of the flow map.
        """
        found = student.denoiser.load_state_dict(self.model.denoiser.state_dict(), strict=False)
        more = [key for key in found.missing_keys if "further" not in key]
        assert not more and not found.unexpected_keys, "student and teacher differ"

    def check_out(self, out: Path) -> None:
        """ValueError for a folder of a student that is that of the teacher, or holds it.

        Args:
            out: the folder of a student.
        """
        own = self.folder.path.resolve()
        if out.resolve() in (own, *own.parents):
            what = "is the teacher's" if out.resolve() == own else f"holds the teacher {own}"
            raise ValueError(f"--out {str(out)!r}: {what}; give another folder")

    def _check_scale(self, largest: float | None) -> None:
        """ValueError for a scale as an input that the model has no use for, or lacks."""
        if largest is not None and not is_conditional(self.model):
            raise ValueError(
                f"--largest_scale {largest:g}: this run has no condition to guide by; leave it out"
            )
        if self.is_flow_map and 1 < self.model.highest < (largest or 1):
            raise ValueError(
                f"--largest_scale {largest:g}: RUN was trained on scales up to "
                f"{self.model.highest:g}; give that, or a smaller one"
            )

        if self.is_flow_map and self.model.denoiser.guided != (largest is not None):
            has = "has" if self.model.denoiser.guided else "lacks"
            raise ValueError(
                f"RUN {str(self.folder.path)!r}: {has} the scale of guidance as an input; "
                f"{'give' if largest is None else 'leave out'} --largest_scale"
            )

    def _resolved(self, config: DistillConfig) -> DistillConfig:
        """The choices for a teacher of few steps, which has a grid. ValueError for others."""
        where = f"RUN {str(self.folder.path)!r}: is a model of few steps"
        if config.method != "progressive":
            raise ValueError(
                f"{where}, which --method {config.method} cannot learn from; give the run from "
                "which it was distilled, or --method progressive"
            )
        if config.guide is not None:
            raise ValueError(f"{where}, and takes no guide; leave --guide out")
        if self.model.jumps == "clean":
            raise ValueError(
                f"{where} by consistency, whose jumps all end in clean data; give its teacher"
            )

        own = self.model.sampler
        steps = config.teacher_steps or own.steps
        spacing = config.spacing or own.spacing
        if self.model.jumps == "grid" and (steps, spacing) != (own.steps, own.spacing):
            raise ValueError(
                f"{where}, trained for {own.describe()}; leave --teacher_steps and --spacing out"
            )
        return replace(config, teacher_steps=steps, spacing=spacing)


def _denoiser(folder: RunFolder, model: nn.Module) -> Denoiser:
    """The denoiser of a model of one target. ValueError for any other model."""
    where = f"RUN {str(folder.path)!r}"
    denoiser = getattr(model, "denoiser", None)
    if not isinstance(model, HasTrajectory) or denoiser is None:
        raise ValueError(
            f"{where}: a {type(model).__name__} has no denoiser; give a run of a diffusion model, "
            "such as `allegory train images` makes"
        )

    targets = (Target, CategoricalOutput)
    if not isinstance(denoiser, Denoiser) or not isinstance(denoiser.target, targets):
        name = target_name(denoiser) or type(denoiser).__name__
        raise ValueError(
            f"{where}: its target is {name}, and a student needs a teacher of x0 and eps alone; "
            "give a run that was trained with --model.target edm"
        )
    return denoiser


def without_dropout(network: NetworkConfig) -> NetworkConfig:
    """The same network without dropout: the target of a student is deterministic."""
    known: Any = network
    is_dropped = is_dataclass(network) and hasattr(network, "dropout")
    return replace(known, dropout=0.0) if is_dropped else network
