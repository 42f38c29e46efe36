r"""Parameters in a box as free numbers: u = log((theta - low) / (high - theta))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

Array = NDArray[np.float64]


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

        free: Array = np.log(theta - self.low) - np.log(self.high - theta)
        return free

    def from_free(self, free: Float64[Array, "n d"]) -> Float64[Array, "n d"]:
        """The parameters of free numbers."""
        if self.low is None or self.high is None:
            return free
        part = 0.5 * (1 + np.tanh(free / 2))
        inner = np.clip(part, 1e-12, 1 - 1e-12)
        theta: Array = self.low + (self.high - self.low) * inner
        return theta

    def log_slope(self, theta: Float64[Array, "n d"]) -> Float64[Array, " n"]:
        """log |du / dtheta| of each row, in nats."""
        if self.low is None or self.high is None:
            return np.zeros(len(theta))
        width = self.high - self.low
        slope = np.log(width) - np.log(theta - self.low) - np.log(self.high - theta)
        found: Array = slope.sum(1)
        return found


def support_of(prior: Any) -> Support:
    """The box of a prior, free numbers for one without.

    Args:
        prior: whose `low` and `high` are the ends, where it has them.
    """
    low, high = getattr(prior, "low", None), getattr(prior, "high", None)
    if low is None or high is None:
        return Support()
    return Support(np.asarray(low, np.float64), np.asarray(high, np.float64))
