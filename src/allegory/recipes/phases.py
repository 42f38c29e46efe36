"""The phases of a distillation, each a run folder of its own: all but the last in the folder of the
last.

    OUT/halvings/16, OUT/halvings/8, OUT      progressive: the steps of each student
    OUT/gaps/0.5, OUT/gaps/0.25, ..., OUT     consistency: the gap of each tuning
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..data import Dataset
from ..distillation.config import DistillConfig
from ..distillation.consistency import Consistency
from ..distillation.guided import WithScale
from ..distillation.progressive import Progressive, halvings
from ..distillation.self_distillation import SelfDistillation
from ..process.flow_map import FlowMap, MidpointMap
from ..process.prediction import Predict
from .config import Run
from .destination import OpenDestination
from .execute import Built
from .few_step import FewStepConfig
from .teacher import Teacher

PHASE_FOLDERS = ("halvings", "gaps")
"""Folders of phases in the folder of the last one."""


@dataclass(frozen=True)
class Phase:
    """One training of a student.

    Args:
        model: the student.
        place: of its run folder in that of the last phase; "" for the last phase.
    """

    model: FewStepConfig
    place: str

    def objective(self, teacher: Predict) -> Any:
        """What the student is trained by.

        Args:
            teacher: the teacher of the run, or the student of the phase before.
        """
        largest = self.model.distillation.largest_scale
        if largest is not None:
            return WithScale(teacher, self._objective, largest)
        return self._objective(teacher)

    def _objective(self, teacher: Predict) -> Any:
        """What the student is trained by, given its teacher under guidance."""
        chosen = self.model.distillation
        if chosen.method == "progressive":
            both = replace(self.model.sampler, steps=2 * chosen.steps)
            known = isinstance(teacher, FlowMap)
            first = teacher if known else MidpointMap(teacher)
            return Progressive(first, both.grid(teacher.path).levels)

        if chosen.method == "flowmap":
            return SelfDistillation(teacher, chosen.identity or "semigroup")
        return Consistency(teacher, chosen.gap)


def phases(model: FewStepConfig) -> tuple[Phase, ...]:
    """The phases that lead to a student, in order.

    Args:
        model: the last student.

    Raises:
        ValueError: for steps that halving does not lead to.
    """
    last = model.distillation
    parts = [(replace(model, distillation=each), place) for each, place in _before(last)]
    return (*(Phase(config, place) for config, place in parts), Phase(model, ""))


def _before(last: DistillConfig) -> list[tuple[DistillConfig, str]]:
    """The choices of each phase before the last, and its place."""
    if last.method == "progressive":
        counts = [steps for _, steps in halvings(last.teacher_steps or 0, last.steps)]
        return [(replace(last, steps=each), f"halvings/{each}") for each in counts[:-1]]
    if last.method == "consistency":
        count = round(-math.log2(last.gap))
        gaps = [2.0**-k for k in range(1, count)]
        return [(replace(last, gap=each), f"gaps/{each:g}") for each in gaps]
    return []


@dataclass(frozen=True)
class PhaseRun:
    """A phase with its teacher and data.

    Args:
        phase: the phase.
        run: its choices.
        dataset: its data.
        teacher: whose weights the student begins with.
        predict: what it learns from: the teacher, guided where it is the first.
    """

    phase: Phase
    run: Run
    dataset: Dataset
    teacher: Teacher
    predict: Predict

    def built(self, out: OpenDestination, device: torch.device) -> Built:
        """The run with its student, ready to be trained on a device.

        Args:
            out: the folder, with the run to continue if there is one.
            device: where the teacher is evaluated.
        """
        dataset = out.data(self.dataset)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.run.training.seed)  # of the further inputs
            student = self.phase.model.build(dataset.spec)
        self.teacher.start(student)

        objective = self.phase.objective(self.predict)
        objective.check(student.denoiser)
        student.objective = objective
        self.teacher.model.to(device)
        return Built(self.run, student, dataset)
