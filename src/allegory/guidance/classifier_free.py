r"""Guidance by blending: a guide takes Predicts and returns a Predict.

Classifier-free guidance moves from the unconditional prediction past the conditional one,

    uncond + w (cond - uncond),

which is the score  w grad log p(x_t | y) + (1 - w) grad log p(x_t)  (Luo 2022, eq. 170; Ho & Salimans 2022).
The scale w: 0 is unconditional, 1 is conditional and unguided, above 1 is guided. (Ho & Salimans write 1 + w.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction, energy_of


@dataclass(frozen=True)
class ClassifierFree:
    """uncond + scale (cond - uncond): scale 1 is unguided. Two evaluations, one where the scale is 0 or 1."""

    base: Predict
    scale: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise ValueError(f"guidance scale {self.scale}: give a finite number; 1 is unguided")

    @property
    def path(self) -> Path:
        """The path of the base."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The guided Prediction; without a condition, the base's own."""
        if condition is None or self.scale == 1:
            return self.base(x_t, t, condition)
        free = self.base(x_t, t, None)
        return (
            free if self.scale == 0 else free.extrapolate(self.base(x_t, t, condition), self.scale)
        )

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The same of energies: that whose score the guided one is. ValueError for a base that has none."""
        if condition is None or self.scale == 1:
            return energy_of(self.base, x_t, t, condition)
        free = energy_of(self.base, x_t, t, None)
        return (
            free
            if self.scale == 0
            else torch.lerp(free, energy_of(self.base, x_t, t, condition), self.scale)
        )


@dataclass(frozen=True)
class ClampX0:
    """x0 kept inside the range of the data, eps changed to match: "clip denoised" (Ho et al. 2020)."""

    base: Predict
    low: float = -1.0
    high: float = 1.0

    @property
    def path(self) -> Path:
        """The path of the base."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The Prediction with its x0 clamped."""
        prediction = self.base(x_t, t, condition)
        clamped = Prediction.solve(
            "x0", torch.clamp(prediction.x0, self.low, self.high), x_t, prediction.level
        )
        return replace(clamped, variance_fraction=prediction.variance_fraction)
