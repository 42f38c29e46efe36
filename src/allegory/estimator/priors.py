"""Priors of parameters, as simulation-based inference takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray


@runtime_checkable
class Prior(Protocol):
    """A density of parameters that can be drawn from. One with `low` and `high`, the ends of each
    parameter, is 0 outside of them.
    """

    def sample(self, n: int, seed: int, /) -> Float64[NDArray[np.float64], "n d"]:
        """`n` draws by a `seed`."""
        ...

    def log_prob(self, theta: Float64[NDArray[np.float64], "n d"], /) -> NDArray[np.float64]:
        """log p of each row of `theta` in nats."""
        ...


@dataclass(frozen=True)
class BoxPrior:
    """Parameters that are uniform in a box.

    Args:
        low: the lower end of each.
        high: the upper end of each.

    Raises:
        ValueError: for ends that are not in order.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not np.all(np.less(self.low, self.high)):
            raise ValueError(f"low={self.low}, high={self.high}: give low < high of each parameter")

    def sample(self, n: int, seed: int, /) -> Float64[NDArray[np.float64], "n d"]:
        """`n` draws by a `seed`."""
        shape = (n, len(self.low))
        return np.random.default_rng(seed).uniform(self.low, self.high, shape)

    def log_prob(self, theta: Float64[NDArray[np.float64], "n d"], /) -> NDArray[np.float64]:
        """log p of each row of `theta`: that of the box, -inf outside."""
        inside = ((theta >= self.low) & (theta <= self.high)).all(1)
        volume = float(np.log(np.subtract(self.high, self.low)).sum())
        return np.where(inside, -volume, -np.inf)


@dataclass(frozen=True)
class NormalPrior:
    """Parameters that are independent and normal.

    Args:
        mean: of each.
        std: of each.

    Raises:
        ValueError: for a standard deviation that is not above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not np.all(np.greater(self.std, 0)):
            raise ValueError(f"std={self.std}: give one above 0 for each of {len(self.mean)} means")

    def sample(self, n: int, seed: int, /) -> Float64[NDArray[np.float64], "n d"]:
        """`n` draws by a `seed`."""
        z = np.random.default_rng(seed).standard_normal((n, len(self.mean)))
        return np.asarray(self.mean) + np.asarray(self.std) * z

    def log_prob(self, theta: Float64[NDArray[np.float64], "n d"], /) -> NDArray[np.float64]:
        """log p of each row of `theta`."""
        z = (theta - np.asarray(self.mean)) / np.asarray(self.std)
        constant = np.log(2 * np.pi) * z.shape[1] / 2 + np.log(self.std).sum()
        found: NDArray[np.float64] = -0.5 * np.square(z).sum(1) - constant
        return found
