r"""Classifier-free guidance: from the unconditional prediction past the conditional one.

    uncond + w (cond - uncond)

is the score  w grad log p(x_t | y) + (1 - w) grad log p(x_t)  (Luo 2022, eq. 170).
The scale w: 0 is unconditional, 1 is conditional and unguided, above 1 is guided. (Ho & Salimans
write 1 + w.) Both predictions are one batch where the base can hide a condition row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ..conditions import Combined
from ..conditions.base import Condition
from ..lookup import pick, written
from ..process.discrete import TokenPredict
from ..process.guide import GUIDES, Guided
from ..process.path import Level
from ..process.prediction import Predict, Prediction, energy_of
from .batched import energy_between, predict_between
from .scale import OPTIONS, Scale, option_numbers
from .tokens import GuidedTokens


@dataclass(frozen=True)
class ClassifierFree:
    """Classifier-free guidance, uncond + scale (cond - uncond) (Ho & Salimans 2022).

    `ClassifierFree(2.0)(predict)` is the guided Predict. It costs two evaluations, one where the
    scale is 0 or 1.

    Args:
        scale: w of the formula; 1 is unguided, 0 unconditional.
        low: the log-SNR below which w is 1; None for no limit (Kynkaanniemi et al. 2024).
        high: the log-SNR above which w is 1; None for no limit.
        rescale: phi, from 0 to 1: how far the standard deviation of each guided x0 is brought back
            to that of the conditional one (Lin et al. 2023). It leaves no energy.
        part: the name of the one part of a combined condition that uncond hides; None hides all.
        kind: of the condition, for `part`; a model fills it in (`bound_to`).
        needs_condition: True; a `Sampler` refuses this guide without a condition.

    Raises:
        ValueError: for numbers that do not fit, and a part that the condition does not have.
    """

    scale: float
    low: float | None = None
    high: float | None = None
    rescale: float = 0.0
    part: str | None = None
    kind: Condition | None = field(default=None, repr=False, compare=False)
    needs_condition: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._scale()  # refuses numbers that do not fit
        if self.part is not None and self.kind is not None:
            if not isinstance(self.kind, Combined):
                raise ValueError(f"part={self.part!r}: the condition has no parts; leave part out")
            pick("part of the condition", self.part, dict.fromkeys(self.kind.names))

    @classmethod
    def from_text(
        cls,
        number: float,
        low: str | None = None,
        high: str | None = None,
        rescale: str = "0",
        part: str | None = None,
    ) -> ClassifierFree:
        """The guide of a name with options, such as "cfg:2:low=-3".

        Args:
            number: w.
            low: as text.
            high: as text.
            rescale: as text.
            part: the name of a part.

        Raises:
            ValueError: for an option that is no number, and as the guide itself.
        """
        return cls(number, **option_numbers(low=low, high=high, rescale=rescale), part=part)

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict; without a condition it is the base."""
        return Guided(base, self)

    def __str__(self) -> str:
        rescale = self.rescale or None
        return written(
            "cfg", self.scale, low=self.low, high=self.high, rescale=rescale, part=self.part
        )

    def bound_to(self, kind: Condition | None) -> ClassifierFree:
        """The guide for conditions of this `kind`. ValueError for a part that it does not have."""
        if self.part is not None and kind is None:
            raise ValueError(f"part={self.part!r}: the model has no condition; leave part out")
        return replace(self, kind=kind)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t); without a condition, the base's own."""
        if condition is None:
            return base(x_t, t, None)

        return predict_between(self._scale(), base, x_t, t, (self._free(condition), condition))

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
            ValueError: for a base that has no energy, and with a rescale.
        """
        if condition is None:
            return energy_of(base, x_t, t, None)

        return energy_between(self._scale(), base, x_t, t, (self._free(condition), condition))

    def for_tokens(self, base: TokenPredict) -> GuidedTokens:
        """The guided predictor of tokens.

        Raises:
            ValueError: for a part, limits or a rescale, which tokens do not have.
        """
        if self.part is not None or self.low is not None or self.high is not None or self.rescale:
            raise ValueError(f"guide {self}: for tokens it is cfg:W alone; leave its options out")
        return GuidedTokens(base, self.scale)

    def _scale(self) -> Scale:
        return Scale(self.scale, self.low, self.high, self.rescale)

    def _free(self, condition: Tensor) -> Tensor | None:
        """The condition of uncond: none, or the rows with one part hidden."""
        if self.part is None:
            return None
        if not isinstance(self.kind, Combined):
            raise ValueError(
                f"part={self.part!r}: of an unknown condition; sample a model, or say which parts "
                "there are by guide.bound_to(Combined(...))"
            )

        return self.kind.hide(condition, self.part)


GUIDES.register(
    "cfg",
    ClassifierFree(2.0),
    "classifier-free guidance, uncond + w (cond - uncond), w = 2 if not given (Ho & Salimans 2022)",
    make=ClassifierFree.from_text,
    parameter="w, a number; 1 is unguided",
    options=OPTIONS | {"part": "the part of a combined condition that is guided"},
)
