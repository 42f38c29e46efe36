r"""Negative conditions: from the prediction under an unwanted condition past the wanted one.

    unwanted + w (cond - unwanted)

w = 0 is the unwanted condition, w = 1 the wanted one without guidance. Without a condition of the
item, cond is the prediction without one. The energy is the same line through the two energies.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..conditions.base import Condition
from ..lookup import written
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .batched import energy_between, predict_between
from .fixed_rows import as_text, for_each, held_row, row_for
from .scale import OPTIONS, Scale, option_numbers


@dataclass(frozen=True)
class Negative:
    """Guidance away from a condition, unwanted + scale (cond - unwanted).

    Args:
        scale: w of the formula; 1 is unguided.
        condition: the unwanted one: a value in the units of the model's data, or text as for the
            command line; a row as a tensor where no model is sampled.
        low: the log-SNR below which w is 1; None for no limit.
        high: the log-SNR above which w is 1; None for no limit.
        rescale: phi, from 0 to 1, as in `ClassifierFree`.
        row: the row of the condition; a model fills it in (`bound_to`).

    Raises:
        ValueError: for numbers that do not fit; when bound, for what is no condition of the model.
    """

    scale: float
    condition: Any
    low: float | None = None
    high: float | None = None
    rescale: float = 0.0
    row: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._scale()  # refuses numbers that do not fit
        text = as_text(self.condition)
        object.__setattr__(self, "condition", self.condition if text is None else text)

    @classmethod
    def from_text(
        cls,
        number: float,
        condition: str,
        low: str | None = None,
        high: str | None = None,
        rescale: str | None = None,
    ) -> Negative:
        """The guide of a name with options, such as "negative:2:condition=3".

        Args:
            number: w.
            condition: as text.
            low: as text.
            high: as text.
            rescale: as text.

        Raises:
            ValueError: for an option that is no number, and as the guide itself.
        """
        return cls(number, condition, **option_numbers(low=low, high=high, rescale=rescale))

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict."""
        return Guided(base, self)

    def __str__(self) -> str:
        if not isinstance(self.condition, str):
            return repr(self)
        choices = {"low": self.low, "high": self.high, "rescale": self.rescale or None}
        return written("negative", self.scale, condition=self.condition, **choices)

    def bound_to(self, kind: Condition | None) -> Negative:
        """The guide with the row of its condition, of this `kind`. ValueError for another."""
        return replace(self, row=row_for(kind, self.condition))

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t)."""
        return predict_between(self._scale(), base, x_t, t, (self._unwanted(x_t), condition))

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the guided one, in nats, up to a constant.

        Args:
            base: the Predict that is guided; it must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: None for no condition.

        Raises:
            ValueError: for a base that has no energy, and with a rescale.
        """
        return energy_between(self._scale(), base, x_t, t, (self._unwanted(x_t), condition))

    def _scale(self) -> Scale:
        return Scale(self.scale, self.low, self.high, self.rescale)

    def _unwanted(self, x_t: Tensor) -> Tensor:
        return for_each(held_row(self.condition, self.row, self), x_t)


GUIDES.register(
    "negative",
    None,
    "away from a condition, unwanted + w (cond - unwanted)",
    make=Negative.from_text,
    parameter="w, a number; 1 is unguided",
    options={"condition": "the unwanted condition, as for --condition"} | OPTIONS,
)
