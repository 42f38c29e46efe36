r"""Distillation of classifier-free guidance, with its scale as an input (Meng et al. 2023).

The teacher is x0_w = x0 + (w - 1) (x0 - x0 without the condition), two evaluations, and w is drawn
for each item; the student sees w and needs one. So a student serves all scales of a range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..guidance.batched import predict_under
from ..models.flow_map import AtScale
from ..numerics.broadcast import expand_like
from ..numerics.generators import draw_rows, uniform
from ..objectives.base import Objective
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .shared import SharedTeacher


@dataclass(frozen=True, eq=False)
class GuidedTeacher:
    """A denoiser under classifier-free guidance of a scale per item.

    Args:
        base: the denoiser.
        scale: w of each item, (b,); 1 is the denoiser itself.
    """

    base: Predict
    scale: Float[Tensor, " b"]

    @property
    def path(self) -> Path:
        """That of the denoiser."""
        return self.base.path

    def rows(self, part: Tensor) -> GuidedTeacher:
        """The same for some of the items.

        Args:
            part: which, (b,).
        """
        return GuidedTeacher(self.base, self.scale[part])

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The guided prediction.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one row per item; None for no condition, and no guidance.
        """
        if condition is None:
            return self.base(x_t, t, None)
        without, given = predict_under(self.base, x_t, t, (None, condition))

        return without.extrapolate(given, expand_like(self.scale, x_t))


@dataclass(frozen=True, eq=False)
class WithScale(SharedTeacher):
    """An objective of distillation whose teacher is guided, with a scale drawn per item.

    Args:
        teacher: a denoiser that knows the condition, or a flow map with the scale as an input.
        objective: the objective, given the teacher at the scales of a batch.
        highest: scales are uniform from 1 to this.

    Raises:
        ValueError: for a highest scale of 1 or less.
    """

    teacher: Predict
    objective: Callable[[Predict], Objective]
    highest: float = 4.0

    def __post_init__(self) -> None:
        if not self.highest > 1:
            raise ValueError(f"highest={self.highest}; give a scale above 1, no guidance")

    @property
    def unit(self) -> str:
        """That of the objective."""
        return self.objective(self.teacher).unit

    @property
    def jumps(self) -> str:  # type: ignore[override]
        """Which jumps the objective trains."""
        return str(getattr(self.objective(self.teacher), "jumps", "any"))

    def check(self, predict: Predict) -> None:
        """ValueError for a student without the scale as an input, and what the objective refuses.

        Args:
            predict: the student.
        """
        if not getattr(predict, "guided", False):
            raise ValueError(
                f"student: a {type(predict).__name__} without the scale as an input; give "
                "FlowMapDenoiser(..., guided=True)"
            )
        self.objective(self.teacher).check(predict)

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of each item.

        Args:
            predict: the student.
            x0: clean items in model space.
            condition: one row per item, or None.
            generator: where scales, levels and noise are drawn from.
        """
        drawn = draw_rows(uniform, (len(x0),), generator).to(x0)
        scale = 1 + (self.highest - 1) * drawn
        guided = getattr(self.teacher, "guided", False)
        teacher = AtScale(self.teacher, scale) if guided else GuidedTeacher(self.teacher, scale)
        return self.objective(teacher)(AtScale(predict, scale), x0, condition, generator)
