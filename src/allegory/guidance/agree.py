r"""Predictions that agree with a lower resolution of the item (Wang et al. 2023, DDNM, eq. 15).

    x0  ->  x0 + A^T (A A^T)^-1 (m - A x0),

A the mean over blocks of pixels and m the picture that is given. The mean of x0 given x_t and m has
A E[x0] = m, because A is linear: an exact prediction is left as it is, and the error of any other
has no part left along A^T. So far it is no approximation, unlike the same step with a model that
was not conditioned on m.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ..conditions.base import Condition
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction


@dataclass(frozen=True)
class Agree:
    """x0 with the means over blocks that the condition gives, and eps changed to match x_t.

    Where the condition is hidden or has noise, x0 is that of the base. It has no energy.

    Args:
        kind: of the condition; a model fills it in (`bound_to`).
        needs_condition: True; a `Sampler` refuses this guide without a condition.
        of_items: True; a model of latents refuses this guide.

    Raises:
        ValueError: when it is used while `kind` is None.
    """

    kind: Condition | None = None
    needs_condition: ClassVar[bool] = True
    of_items: ClassVar[bool] = True

    def __call__(self, base: Predict) -> Guided:
        """The Predict of `base` that agrees with its condition."""
        return Guided(base, self)

    def __str__(self) -> str:
        return "agree"

    def bound_to(self, kind: Condition | None) -> Agree:
        """The guide for conditions of this `kind`; None for a model without a condition.

        Raises:
            ValueError: for a condition that says nothing of means over blocks.
        """
        if kind is None or not kind.says_means:
            given = "no condition" if kind is None else f"a condition, {kind}, that says none"
            raise ValueError(
                f"guide agree: is for items of known means over blocks, and the model has {given}; "
                "leave it out, or train with ?lowres=4"
            )
        return replace(self, kind=kind)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The base's Prediction at (x_t, t, condition) with x0 moved to the nearest that agrees."""
        prediction = base(x_t, t, condition)

        if condition is None:
            return prediction
        if self.kind is None:
            raise ValueError("guide agree: give it the kind of the condition, Agree(spec.given)")

        known = self.kind.block_means(condition)
        x0 = prediction.x0 if known is None else known.shifted(prediction.x0).to(prediction.x0)

        agreed = Prediction.solve("x0", x0, x_t, prediction.level)
        return replace(agreed, variance_fraction=prediction.variance_fraction)


GUIDES.register(
    "agree",
    Agree(),
    "x0 moved to the nearest that has the low-resolution picture which is given (Wang et al. 2023)",
)
