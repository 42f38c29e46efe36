r"""Classifier-free guidance: from the unconditional prediction past the conditional one.

    uncond + w (cond - uncond)

is the score  w grad log p(x_t | y) + (1 - w) grad log p(x_t)  (Luo 2022, eq. 170).
The scale w: 0 is unconditional, 1 is conditional and unguided, above 1 is guided. (Ho & Salimans
write 1 + w.)
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import MAX_PARAMETER, check_type
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction, energy_of


@dataclass(frozen=True)
class ClassifierFree:
    """Classifier-free guidance, uncond + scale (cond - uncond) (Ho & Salimans 2022).

    `ClassifierFree(2.0)(predict)` is the guided Predict. It costs two evaluations, one where the
    scale is 0 or 1.

    Args:
        scale: w of the formula; 1 is unguided, 0 unconditional.
        needs_condition: True; a `Sampler` refuses this guide without a condition.

    Raises:
        ValueError: for a scale that is no number, or too large for float32.
    """

    scale: float
    needs_condition: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_type("scale", self.scale, Real, "a number; 1 is unguided")
        if not abs(self.scale) <= MAX_PARAMETER:
            raise ValueError(
                f"guidance scale {self.scale}: give a number of at most {MAX_PARAMETER:,} in "
                "size; 1 is unguided"
            )

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict; without a condition it is the base."""
        return Guided(base, self)

    def __str__(self) -> str:
        return f"cfg:{self.scale:g}"

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t); without a condition, the base's own."""
        if condition is None or self.scale == 1:
            return base(x_t, t, condition)

        free = base(x_t, t, None)
        if self.scale == 0:
            return free
        return free.extrapolate(base(x_t, t, condition), self.scale)

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the guided one.

        Args:
            base: the Predict that is guided; it must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: None for no condition.

        Returns:
            -log p(x_t) in nats, up to a constant, shape (b,).

        Raises:
            ValueError: for a base that has no energy.
        """
        if condition is None or self.scale == 1:
            return energy_of(base, x_t, t, condition)

        free = energy_of(base, x_t, t, None)
        if self.scale == 0:
            return free
        return torch.lerp(free, energy_of(base, x_t, t, condition), self.scale)


GUIDES.register(
    "cfg",
    ClassifierFree(2.0),
    "classifier-free guidance, uncond + w (cond - uncond), w = 2 if not given (Ho & Salimans 2022)",
    make=ClassifierFree,
    parameter="w, a number; 1 is unguided",
)
