"""Draws with importance weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws of another distribution, with weights that make them those of the wanted one.

    Args:
        theta: the draws.
        weights: one for each; they sum to 1.
    """

    theta: Float64[NDArray[np.float64], "n d"]
    weights: Float64[NDArray[np.float64], " n"]

    @classmethod
    def of(
        cls, theta: Float64[NDArray[np.float64], "n d"], log_weights: NDArray[np.float64]
    ) -> WeightedDraws:
        """Draws with weights that are known up to a factor.

        Args:
            theta: the draws.
            log_weights: logarithms of the weights.

        Raises:
            ValueError: where none is above 0.
        """
        largest = log_weights.max()
        if not np.isfinite(largest):
            raise ValueError(
                f"prior: is 0 at each of {len(theta)} draws; give one that overlaps the posterior, "
                "or fit again"
            )
        weights = np.exp(log_weights - largest)
        return cls(theta, weights / weights.sum())

    @property
    def effective_size(self) -> float:
        """How many draws of the wanted distribution they stand for, 1 / sum w^2 (Kong 1992)."""
        return float(1 / np.square(self.weights).sum())

    def mean(self) -> Float64[NDArray[np.float64], " d"]:
        """The weighted mean."""
        found: NDArray[np.float64] = self.weights @ self.theta
        return found

    def resampled(self, n: int, seed: int = 0) -> Float64[NDArray[np.float64], "n d"]:
        """Draws without weights; some occur more than once.

        Args:
            n: how many.
            seed: of the choice.
        """
        chosen = np.random.default_rng(seed).choice(len(self.weights), n, p=self.weights)
        return self.theta[chosen]
