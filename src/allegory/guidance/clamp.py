"""Clamping of the predicted data to their range ("clip denoised", Ho et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction


@dataclass(frozen=True)
class ClampX0:
    """x0 clamped to the range of the data, and eps changed to match x_t (Ho et al. 2020).

    `ClampX0()(predict)` is the clamped Predict; it has no energy.

    Args:
        low: the smallest value of the data, in model space.
        high: the largest.

    Raises:
        ValueError: when low is not below high.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low={self.low}, high={self.high}; give low < high")

    @property
    def of_items(self) -> bool:
        """Whether the range is that of the data, which latents do not have."""
        return (self.low, self.high) == (-1.0, 1.0)

    def __call__(self, base: Predict) -> Guided:
        """The clamped Predict of `base`."""
        return Guided(base, self)

    def __str__(self) -> str:
        if (self.low, self.high) == (-1.0, 1.0):
            return "clamp"
        return f"clamp:{self.high:g}" if self.low == -self.high else repr(self)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The base's Prediction at (x_t, t, condition) with its x0 clamped."""
        prediction = base(x_t, t, condition)
        x0 = torch.clamp(prediction.x0, self.low, self.high)

        clamped = Prediction.solve("x0", x0, x_t, prediction.level)
        return replace(clamped, variance_fraction=prediction.variance_fraction)


def _symmetric(bound: float) -> ClampX0:
    """Clamping to [-bound, bound]. ValueError for a bound that is infinite or not above 0."""
    if not 0.0 < bound < math.inf:
        raise ValueError(f"bound={bound}; give a finite number above 0")
    return ClampX0(-bound, bound)


GUIDES.register(
    "clamp",
    ClampX0(),
    "the predicted x0 clamped to [-1, 1], or to [-r, r] (Ho et al. 2020)",
    make=_symmetric,
    parameter="r, a finite number above 0",
)
