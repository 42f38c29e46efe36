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
        log_evidence: of the mean weight before, in nats: log p(x), where the weights are those of a
            posterior that is not normalised.
    """

    theta: Float64[NDArray[np.float64], "n d"]
    weights: Float64[NDArray[np.float64], " n"]
    log_evidence: float = 0.0

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
        evidence = float(largest + np.log(weights.mean()))
        return cls(theta, weights / weights.sum(), evidence)

    @property
    def effective_size(self) -> float:
        """How many draws of the wanted distribution they stand for, 1 / sum w^2 (Kong 1992)."""
        return float(1 / np.square(self.weights).sum())

    def mean(self) -> Float64[NDArray[np.float64], " d"]:
        """The weighted mean."""
        found: NDArray[np.float64] = self.weights @ self.theta
        return found

    def resampled(
        self, n: int, seed: int = 0, *, replace: bool = True
    ) -> Float64[NDArray[np.float64], "n d"]:
        """Draws without weights.

        Args:
            n: how many.
            seed: of the choice.
            replace: whether a draw can occur more than once. Without it all are different, and
                those of large weights too few unless n is well below the effective size.

        Raises:
            ValueError: for more different draws than have a weight.
        """
        few = int((self.weights > 0).sum())
        if not replace and n > few:
            raise ValueError(f"n={n}: there are {few} different draws; give at most that, or more")
        random = np.random.default_rng(seed)
        return self.theta[random.choice(len(self.weights), n, replace, self.weights)]
