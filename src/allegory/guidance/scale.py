r"""The guidance scale w, and what it makes of two predictions.

    first + w (second - first)

w = 0 is the first prediction, w = 1 the second, above 1 is guided; at 0 and 1 the other one is not
evaluated. Two choices go with w:

    interval   outside some log-SNRs w is 1 (Kynkaanniemi et al. 2024); of a batch whose items have
               their own times, each item by itself
    rescale    the standard deviation of the guided x0, over all numbers of an item, is brought back
               to that of the second x0, by a fraction phi of the way (Lin et al. 2023)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import MAX_PARAMETER, check_type, option_number
from ..numerics.broadcast import expand_like
from ..process.path import Level
from ..process.prediction import Prediction

OPTIONS = {
    "low": "the log-SNR below which w is 1 (Kynkaanniemi et al. 2024)",
    "high": "the log-SNR above which w is 1",
    "rescale": "phi from 0 to 1: how far the std of x0 is brought back to that of the condition "
    "alone (Lin et al. 2023)",
}
"""The options of a guide by name, as `GUIDES` has them."""


@dataclass(frozen=True)
class Scale:
    """The scale w, the interval of log-SNR where it holds, and the rescaling of its result.

    Args:
        w: 1 is unguided, 0 the first prediction.
        low: the log-SNR below which w is 1; None for no limit.
        high: the log-SNR above which w is 1; None for no limit.
        rescale: phi, from 0 (none) to 1.

    Raises:
        ValueError: for what is no such number, and a low that is not below high.
    """

    w: float
    low: float | None = None
    high: float | None = None
    rescale: float = 0.0

    def __post_init__(self) -> None:
        check_guidance_scale(self.w)
        for name in ("low", "high"):
            value = getattr(self, name)
            if value is not None:
                check_type(name, value, Real, "a log-SNR, or None")
        if not self._low < self._high:
            raise ValueError(f"low={self.low}, high={self.high}; give log-SNRs with low < high")

        check_type("rescale", self.rescale, Real, "a number from 0 to 1")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale={self.rescale}; give a number from 0 to 1")

    def at(self, level: Level) -> float | Tensor:
        """w at a Level: one number, or one per item, shaped to broadcast against the data."""
        if self.w == 1 or (self.low is None and self.high is None):
            return self.w

        log_snr = level.log_snr
        if not isinstance(log_snr, Tensor):
            return self.w if self._low <= log_snr <= self._high else 1.0
        inside = (log_snr >= self._low) & (log_snr <= self._high)
        if bool(inside.all()):
            return self.w
        return torch.where(inside, self.w, 1.0) if bool(inside.any()) else 1.0

    def predict(
        self,
        level: Level,
        first: Callable[[], Prediction],
        second: Callable[[], Prediction],
        both: Callable[[], tuple[Prediction, Prediction]],
    ) -> Prediction:
        """first + w (second - first), evaluated no more than needed.

        Args:
            level: where the predictions are made.
            first: evaluates the first alone.
            second: evaluates the second alone.
            both: evaluates both.
        """
        w = self.at(level)
        if isinstance(w, float | int) and w in (0, 1):
            return second() if w == 1 else first()

        start, end = both()
        found = start.extrapolate(end, w)
        return rescaled(found, end, self.rescale) if self.rescale else found

    def energy(
        self,
        level: Level,
        first: Callable[[], Tensor],
        second: Callable[[], Tensor],
        both: Callable[[], tuple[Tensor, Tensor]],
    ) -> Float[Tensor, " b"]:
        """The same line through two energies, whose score is that of the prediction.

        Args:
            level: where the energies are taken.
            first: evaluates the first alone.
            second: evaluates the second alone.
            both: evaluates both.

        Raises:
            ValueError: with a rescale, which is the score of no known density.
        """
        if self.rescale:
            raise ValueError(
                f"rescale={self.rescale}: a rescaled prediction has a score but no energy; leave "
                "rescale out, or correct with langevin"
            )

        w = self.at(level)
        if isinstance(w, float | int) and w in (0, 1):
            return second() if w == 1 else first()

        start, end = both()
        return torch.lerp(start, end, w.flatten().to(start) if isinstance(w, Tensor) else w)

    @property
    def _low(self) -> float:
        return -math.inf if self.low is None else self.low

    @property
    def _high(self) -> float:
        return math.inf if self.high is None else self.high


def option_numbers(**options: str | None) -> dict[str, Any]:
    """Options as numbers; those that were not given are left out.

    Args:
        options: texts by name.

    Raises:
        ValueError: for what is no number.
    """
    return {
        key: option_number(key, text, OPTIONS[key].partition(":")[0])
        for key, text in options.items()
        if text is not None
    }


def check_guidance_scale(
    scale: object, name: str = "scale", neutral: str = "1 is unguided"
) -> None:
    """ValueError for a scale that is no number, or too large for float32.

    Args:
        scale: w.
        name: of the argument.
        neutral: the scale that leaves the prediction as it is, in words.
    """
    check_type(name, scale, Real, f"a number; {neutral}")
    if not abs(cast(float, scale)) <= MAX_PARAMETER:
        raise ValueError(
            f"guidance {name} {scale}: give a number of at most {MAX_PARAMETER:,} in size; "
            f"{neutral}"
        )


def rescaled(prediction: Prediction, like: Prediction, blend: float) -> Prediction:
    """The prediction with the standard deviation of its x0 brought to that of another's x0.

    Args:
        prediction: the prediction; its eps is changed to match x_t.
        like: has the standard deviation that is wanted, over all numbers of each item.
        blend: how far: 0 is the prediction itself, 1 has that standard deviation.
    """
    x0 = prediction.x0
    std, wanted = (each.flatten(1).std(1, correction=0) for each in (x0, like.x0))
    factor = torch.where(std > 0, wanted / std, 1.0)
    x0 = expand_like(1 + blend * (factor - 1), x0) * x0

    found = Prediction.solve("x0", x0, prediction.x_t, prediction.level)
    return replace(found, variance_fraction=prediction.variance_fraction)
