"""The choices of a distillation: how a model of few steps is trained, and how it is sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..lookup import Registry, check_count, check_type, pick
from ..process.grid import MAX_STEPS, SPACINGS
from ..sampling import solver_named
from .self_distillation import IDENTITIES

DEFAULT_TEACHER_STEPS = 16
"""Steps of the first teacher of progressive distillation, two evaluations each, where that is no
flow map.
"""


@dataclass(frozen=True)
class DistillationMethod:
    """What a method of distillation leaves behind.

    Args:
        unit: of its loss.
        solver: how its students are sampled unless another is chosen.
        jumps: between which levels its students are trained: "any" two, "grid" (those of its
            sampler) or "clean" (to clean data).
    """

    unit: str
    solver: str
    jumps: str


DISTILLATION_METHODS: Registry[DistillationMethod] = Registry("method")
"""The methods of distillation by name."""

DISTILLATION_METHODS.register(
    "progressive",
    DistillationMethod("distillation error", "flow_map", "grid"),
    "each step of a student is two of its teacher, again and again (Salimans & Ho 2022)",
)
DISTILLATION_METHODS.register(
    "flowmap",
    DistillationMethod("flow map error", "flow_map", "any"),
    "a flow map between any two levels, for any number of steps (Boffi et al. 2025)",
)
DISTILLATION_METHODS.register(
    "consistency",
    DistillationMethod("consistency error", "flow_map:1", "clean"),
    "the clean end of the flow from any level, tuned on the data (Geng et al. 2024)",
)


LARGEST_SCALE = 20.0
"""The largest scale of guidance that is an input."""

GAP = 1 / 64
"""The last gap of consistency tuning unless another is chosen."""

SMALLEST_GAP = 1 / 1024
"""The smallest gap: below it the rounding of float32 is a part of the loss."""


@dataclass(frozen=True)
class DistillConfig:
    """The choices of a distillation.

    Args:
        method: "progressive", "flowmap" or "consistency".
        steps: of the student, one evaluation each.
        teacher_steps: of the first teacher of "progressive"; None: 16, or those of a teacher that
            is a flow map.
        identity: of "flowmap", by which jumps are learned: "semigroup" (None), "lagrangian" or
            "eulerian".
        gap: of "consistency", the last one: 1/2 is halved down to it, at most to 1/1024.
        solver: of the student: "flow_map", or "flow_map:GAMMA" with noise; None: as suits the
            method.
        spacing: where its steps lie; None: as suits the solver.
        guide: of the teacher, such as "cfg:2", which the student learns; None: none.
        largest_scale: the student learns classifier-free guidance of every scale from 1 to this
            one, which is an input; None: no guidance.

    Raises:
        ValueError: for an unknown name, a number out of its range, and a choice that the method
            does not have.
    """

    method: str = "progressive"
    steps: int = 4
    teacher_steps: int | None = None
    identity: str | None = None
    gap: float = GAP
    solver: str | None = None
    spacing: str | None = None
    guide: str | None = None
    largest_scale: float | None = None

    def __post_init__(self) -> None:
        pick("method", self.method, DISTILLATION_METHODS)
        check_count("steps", self.steps, 1, MAX_STEPS)
        if self.spacing is not None:
            SPACINGS.named(self.spacing)

        if self.teacher_steps is not None:
            check_count("teacher_steps", self.teacher_steps, 2, MAX_STEPS)
            self._only("teacher_steps", "progressive")

        if self.identity is not None:
            self._only("identity", "flowmap")
            pick("identity", self.identity, IDENTITIES)
        elif self.method == "flowmap":
            object.__setattr__(self, "identity", "semigroup")

        self._check_gap()
        if self.solver is None:
            object.__setattr__(self, "solver", DISTILLATION_METHODS[self.method].solver)
        self._check_solver()
        self._check_guide()

    @property
    def jumps(self) -> str:
        """Between which levels a student is trained (`DistillationMethod`)."""
        return DISTILLATION_METHODS[self.method].jumps

    def _check_gap(self) -> None:
        """ValueError for a gap that halving does not lead to, or of a method that has none."""
        check_type("gap", self.gap, (int, float), "a number, 1/2 or a half of it")
        if not SMALLEST_GAP <= self.gap <= 0.5 or not math.log2(self.gap).is_integer():
            raise ValueError(
                f"gap={self.gap}; give 1/2 or a half of it, such as {GAP}, down to 1/1024"
            )

        if self.gap != GAP:
            self._only("gap", "consistency")

    def _check_guide(self) -> None:
        """ValueError for guidance that the method does not learn."""
        if self.guide is not None:
            check_type("guide", self.guide, str, "the name of a guide, such as 'cfg:2'")

        if self.largest_scale is not None:
            check_type("largest_scale", self.largest_scale, (int, float), "a number above 1")
            if not 1 < self.largest_scale <= LARGEST_SCALE:
                raise ValueError(
                    f"largest_scale={self.largest_scale}; give a number above 1, at most "
                    f"{LARGEST_SCALE:g}"
                )
            if self.guide is not None:
                raise ValueError(
                    f"guide={self.guide!r} and largest_scale={self.largest_scale}; give one of them"
                )
        if (self.guide or self.largest_scale) and self.method == "consistency":
            name = "guide" if self.guide else "largest_scale"
            raise ValueError(
                f"{name}={getattr(self, name)!r}: consistency tuning learns from the data, not "
                "from a guided teacher; take method='progressive' or 'flowmap'"
            )

    @property
    def unit(self) -> str:
        """The unit of the loss."""
        return DISTILLATION_METHODS[self.method].unit

    def _only(self, name: str, method: str) -> None:
        """ValueError for a choice that is another method's."""
        if self.method != method:
            raise ValueError(
                f"{name}={getattr(self, name)}: a choice of the method {method!r}; leave it out"
            )

    def _check_solver(self) -> None:
        """ValueError for a solver that is none of a flow map, or whose jumps are not trained."""
        found = solver_named(self.solver or "").name
        own = DISTILLATION_METHODS[self.method].solver

        if found.partition(":")[0] != "flow_map" or (self.jumps != "any" and found != own):
            remedy = "'flow_map' or 'flow_map:GAMMA'" if self.jumps == "any" else repr(own)
            raise ValueError(
                f"solver={self.solver!r}: the method {self.method!r} trains no jumps for it; "
                f"give {remedy}"
            )
