r"""Parameters in a box as free numbers: with t = (theta - middle) / half the width, in (-1, 1),

    u = t + 2 w atanh(t),          w = 0.1.

In the middle the map is almost the identity, so that what is linear in theta stays linear; near the
faces it is a logit, so that every free number is inside of the box, and a density that ends at a
finite value falls exponentially.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

Array = NDArray[np.float64]
_EDGE = 0.1
"""w: about how wide the parts near the faces are, relative to half the width."""
_LEAST = 1e-12
"""Distance of a draw from the faces of the box, relative to half its width."""
_BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class Support:
    """Where parameters may lie.

    Args:
        low: the lower end of each parameter; None where they are free.
        high: the upper end of each, likewise.
    """

    low: Float64[Array, " d"] | None = None
    high: Float64[Array, " d"] | None = None

    def to_free(self, theta: Float64[Array, "n d"]) -> Float64[Array, "n d"]:
        """Free numbers. ValueError for parameters outside of the box or on its faces."""
        if self.low is None or self.high is None:
            return theta
        outside = (theta <= self.low) | (theta >= self.high)
        if outside.any():
            row = int(outside.any(1).argmax())
            raise ValueError(
                f"theta: {theta[row].tolist()} is not inside of the box from {self.low.tolist()} "
                f"to {self.high.tolist()}; leave it out"
            )

        t = self._inner(theta)
        free: Array = t + 2 * _EDGE * np.arctanh(t)
        return free

    def from_free(self, free: Float64[Array, "n d"]) -> Float64[Array, "n d"]:
        """The parameters of free numbers."""
        if self.low is None or self.high is None:
            return free
        low, high = np.full(free.shape, -1 + _LEAST), np.full(free.shape, 1 - _LEAST)
        for _ in range(_BISECTIONS):
            t = (low + high) / 2
            is_below = t + 2 * _EDGE * np.arctanh(t) < free
            low, high = np.where(is_below, t, low), np.where(is_below, high, t)

        theta: Array = (self.low + self.high) / 2 + (self.high - self.low) / 2 * (low + high) / 2
        return theta

    def log_slope(self, theta: Float64[Array, "n d"]) -> Float64[Array, " n"]:
        """log |du / dtheta| of each row, in nats."""
        if self.low is None or self.high is None:
            return np.zeros(len(theta))
        t = self._inner(theta)
        slope = np.log1p(2 * _EDGE / (1 - t * t)) - np.log((self.high - self.low) / 2)
        found: Array = slope.sum(1)
        return found

    def _inner(self, theta: Float64[Array, "n d"]) -> Float64[Array, "n d"]:
        """t in (-1, 1) of parameters in a box."""
        assert self.low is not None and self.high is not None
        t: Array = (2 * theta - self.low - self.high) / (self.high - self.low)
        return t


def support_of(prior: Any) -> Support:
    """The box of a prior, free numbers for one without.

    Args:
        prior: whose `low` and `high` are the ends, where it has them.
    """
    low, high = getattr(prior, "low", None), getattr(prior, "high", None)
    if low is None or high is None:
        return Support()
    return Support(np.asarray(low, np.float64), np.asarray(high, np.float64))
