r"""Composition of several conditions (Liu et al. 2022).

    uncond + w (cond - uncond) + sum_i w_i (cond_i - uncond)

of the item's own condition and of further ones, all in one batch where the base can hide a
condition row by row. It is the score of  p(x) prod_i (p(x | y_i)/p(x))^w_i  at one noise level; the
noised densities of such a product have other scores, so that a sampler follows it with a bias,
which a Metropolis-adjusted corrector removes (Du et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..conditions.base import Condition
from ..lookup import option_number, written
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .batched import energies_under, predict_under
from .fixed_rows import as_text, for_each, held_row, row_for
from .scale import check_guidance_scale

_BETWEEN = "|"
"""Between the conditions, and the weights, of a name."""


@dataclass(frozen=True)
class Composition:
    """Several conditions at once, uncond + sum_i w_i (cond_i - uncond) (Liu et al. 2022).

    Args:
        scale: the weight of the item's own condition, which is left out where it has none.
        conditions: the others, each a value in the units of the model's data, or text as for the
            command line; rows as tensors where no model is sampled.
        weights: one number for each of `conditions`, negative to move away; None for `scale` each.
        rows: the rows of the conditions; a model fills them in (`bound_to`).

    Raises:
        ValueError: for no conditions, and numbers that do not fit; when bound, for what is no
            condition of the model.
    """

    scale: float
    conditions: tuple[Any, ...]
    weights: tuple[float, ...] | None = None
    rows: tuple[Tensor, ...] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_guidance_scale(self.scale)
        texts = [as_text(each) for each in self.conditions]
        plain = [
            each if text is None else text
            for each, text in zip(self.conditions, texts, strict=True)
        ]
        object.__setattr__(self, "conditions", tuple(plain))
        if not plain:
            raise ValueError("conditions: none; give one or more")

        if self.weights is not None:
            for weight in self.weights:
                check_guidance_scale(weight, "weight")
            object.__setattr__(self, "weights", tuple(self.weights))
            if len(self.weights) != len(plain):
                raise ValueError(
                    f"weights: {len(self.weights)} for {len(plain)} conditions; give one each"
                )

    @classmethod
    def from_text(cls, number: float, conditions: str, weights: str | None = None) -> Composition:
        """The guide of a name with options, such as "compose:2:conditions=3|5:weights=1|-0.5".

        Args:
            number: the weight of the item's own condition.
            conditions: as text, with | between them.
            weights: as text, with | between them.

        Raises:
            ValueError: for a weight that is no number, and as the guide itself.
        """
        given = None
        if weights is not None:
            given = tuple(
                option_number("weights", each, "a weight") for each in weights.split(_BETWEEN)
            )
        return cls(number, tuple(conditions.split(_BETWEEN)), given)

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict."""
        return Guided(base, self)

    def __str__(self) -> str:
        if not all(isinstance(each, str) for each in self.conditions):
            return repr(self)
        weights = None
        if self.weights is not None:
            weights = _BETWEEN.join(f"{float(each)!r}" for each in self.weights)
        conditions = _BETWEEN.join(self.conditions)
        return written("compose", self.scale, conditions=conditions, weights=weights)

    def bound_to(self, kind: Condition | None) -> Composition:
        """The guide with the rows of its conditions, of this `kind`. ValueError for others."""
        return replace(self, rows=tuple(row_for(kind, each) for each in self.conditions))

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The composed Prediction at (x_t, t)."""
        weights, rows = self._terms(x_t, condition)
        if weights == [1.0]:
            return base(x_t, t, rows[0])

        free, *others = predict_under(base, x_t, t, [None, *rows])
        return _sum(free, others, weights)

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the composed one, in nats, up to a constant.

        Args:
            base: the Predict that is guided; it must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: None for no condition.

        Raises:
            ValueError: for a base that has no energy.
        """
        weights, rows = self._terms(x_t, condition)
        free, *others = energies_under(base, x_t, t, [None, *rows])
        total = free
        for weight, energy in zip(weights, others, strict=True):
            total = total + weight * (energy - free)
        return total

    def _terms(self, x_t: Tensor, condition: Tensor | None) -> tuple[list[float], list[Tensor]]:
        """The weights that are not 0, and their rows."""
        given = self.rows or (None,) * len(self.conditions)
        rows = [
            for_each(held_row(value, row, self), x_t)
            for value, row in zip(self.conditions, given, strict=True)
        ]
        weights = [self.scale] * len(rows) if self.weights is None else [*self.weights]
        if condition is not None:
            weights, rows = [self.scale, *weights], [condition, *rows]

        used = [(float(w), row) for w, row in zip(weights, rows, strict=True) if w != 0]
        return [w for w, _ in used], [row for _, row in used]


def _sum(free: Prediction, others: Sequence[Prediction], weights: Sequence[float]) -> Prediction:
    """uncond + sum_i w_i (other_i - uncond)."""
    if not others:
        return free
    everyone = [free, *others]
    if any(each.targets != free.targets for each in everyone):
        everyone = [Prediction.of(each.x0, each.eps, free.level) for each in everyone]

    first, *rest = everyone
    u, y = first.u, first.y
    for weight, each in zip(weights, rest, strict=True):
        u = u if each.u is first.u else torch.add(u, each.u - first.u, alpha=weight)
        y = torch.add(y, each.y - first.y, alpha=weight)
    return Prediction(u, y, first.targets, free.level, others[0].variance_fraction)


GUIDES.register(
    "compose",
    None,
    "several conditions at once, uncond + sum_i w_i (cond_i - uncond) (Liu et al. 2022)",
    make=Composition.from_text,
    parameter="w, the weight of the item's own condition; 0 leaves it out",
    options={
        "conditions": "further conditions with | between them, as for --condition",
        "weights": "the weight of each, with | between them; w if not given",
    },
)
