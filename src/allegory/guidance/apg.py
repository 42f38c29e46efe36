r"""Adaptive projected guidance (Sadat et al. 2024): less of the part that oversaturates.

With D = x_c - x_u, the difference of the conditional and the unconditional x0,

    D     <-  D min(1, r/|D|)
    D     <-  D - (1 - eta) <D, x_c>/<x_c, x_c> x_c
    x0     =  x_c + (w - 1) D

with norms and products over all numbers of an item. eta = 1 without a bound r is classifier-free
guidance. The paper's momentum is a memory across steps, which a Predict does not have; it is left
out. w = 0 is the unconditional prediction itself, not the limit of the formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_type, option_number, written
from ..numerics.broadcast import expand_like
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .batched import pair, predict_under
from .scale import OPTIONS, Scale, option_numbers


@dataclass(frozen=True)
class ProjectedGuidance:
    """Adaptive projected guidance of x0, without momentum (Sadat et al. 2024).

    It has no energy.

    Args:
        scale: w; 1 is unguided, 0 unconditional.
        eta: how much is kept of the part of x_c - x_u along x_c; 1 keeps all.
        norm: r, the largest norm of x_c - x_u, over all numbers of an item; infinite for no bound.
        low: the log-SNR below which w is 1; None for no limit.
        high: the log-SNR above which w is 1; None for no limit.
        needs_condition: True; a `Sampler` refuses this guide without a condition.

    Raises:
        ValueError: for numbers that do not fit.
    """

    scale: float
    eta: float = 0.0
    norm: float = math.inf
    low: float | None = None
    high: float | None = None
    needs_condition: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._scale()  # refuses numbers that do not fit
        check_type("eta", self.eta, Real, "a number; 1 keeps all")
        check_type("norm", self.norm, Real, "a positive number, or math.inf")
        if not math.isfinite(self.eta):
            raise ValueError(f"eta={self.eta}; give a number, such as 0 or 1")
        if not self.norm > 0:
            raise ValueError(f"norm={self.norm}; give a positive number, or math.inf for no bound")

    @classmethod
    def from_text(
        cls,
        number: float,
        eta: str = "0",
        norm: str | None = None,
        low: str | None = None,
        high: str | None = None,
    ) -> ProjectedGuidance:
        """The guide of a name with options, such as "apg:4:norm=15".

        Args:
            number: w.
            eta: as text.
            norm: as text; None for no bound.
            low: as text.
            high: as text.

        Raises:
            ValueError: for an option that is no number, and as the guide itself.
        """
        bound = math.inf if norm is None else option_number("norm", norm, "the largest norm")
        fraction = option_number("eta", eta, "how much is left of the part along x_c")
        return cls(number, fraction, bound, **option_numbers(low=low, high=high))

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict; without a condition it is the base."""
        return Guided(base, self)

    def __str__(self) -> str:
        norm = None if self.norm == math.inf else self.norm
        return written(
            "apg", self.scale, eta=self.eta or None, norm=norm, low=self.low, high=self.high
        )

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t); without a condition, the base's own."""
        level = base.path.at(t, like=x_t)
        w = self._scale().at(level)
        if condition is None or (isinstance(w, float | int) and w in (0, 1)):
            return base(x_t, t, condition if w == 1 else None)

        free, with_condition = pair(predict_under(base, x_t, t, (None, condition)))
        x_c = with_condition.x0
        x0 = x_c + (w - 1) * self._direction(x_c - free.x0, x_c)

        guided = Prediction.solve("x0", x0.to(x_t), x_t, level)
        return replace(guided, variance_fraction=with_condition.variance_fraction)

    def _direction(
        self, difference: Float[Tensor, "b *shape"], x_c: Float[Tensor, "b *shape"]
    ) -> Float[Tensor, "b *shape"]:
        """The difference, bounded, with less of its part along x_c."""
        if self.norm < math.inf:
            norm = difference.flatten(1).norm(dim=1)
            bound = torch.where(norm > self.norm, self.norm / norm, 1.0)
            difference = expand_like(bound, difference) * difference
        if self.eta == 1:
            return difference

        squared = x_c.flatten(1).square().sum(1)
        product = (difference * x_c).flatten(1).sum(1)
        along = torch.where(squared > 0, product / squared, 0.0)
        return difference - (1 - self.eta) * expand_like(along, x_c) * x_c

    def _scale(self) -> Scale:
        return Scale(self.scale, self.low, self.high)


GUIDES.register(
    "apg",
    ProjectedGuidance(4.0),
    "adaptive projected guidance of x0, w = 4 if not given (Sadat et al. 2024)",
    make=ProjectedGuidance.from_text,
    parameter="w, a number; 1 is unguided",
    options={
        "eta": "how much is kept of the part along the conditional x0, 0 if not given; 1 is cfg",
        "norm": "the largest norm of the difference of both x0; no bound if not given",
    }
    | {key: OPTIONS[key] for key in ("low", "high")},
)
