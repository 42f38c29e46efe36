"""A Predict on a path of another scaling with the same schedule.

At one time two such paths have the same log-SNR, so x_t = alpha x0 + sigma eps and
x'_t = alpha' x0 + sigma' eps are one state in two units, x_t = (alpha/alpha') x'_t, and the pair
(x0, eps) predicted of the one is that of the other. A network that was trained as a
variance-preserving process is a variance-exploding one too (Song et al. 2021, appendix C; Karras et
al. 2022, section 2). What differs is the SDE, and with it every sampler that steps in t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from .coefficients import Coefficient, larger
from .guide import hidden_of, is_consistent
from .path import Level, Path
from .prediction import Predict, Prediction, energy_of


class Rescaled:
    """A Predict on a path of another scaling, which has the same schedule.

    Args:
        base: the Predict, on its own path.
        scaling: the other scaling, by name.

    Raises:
        ValueError: for an unknown scaling.
    """

    def __init__(self, base: Predict, scaling: str) -> None:
        self.base = base
        self.path = Path(base.path.schedule, scaling)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The x0 and eps of the base, at the Level of this path.

        Args:
            x_t: states of this path, (batch, *shape).
            t: one time, one per item, or a Level of this path.
            condition: one row per item, or None.
        """
        level, base_level = self._levels(t, x_t)
        prediction = self.base(_ratio(base_level, level) * x_t, base_level, condition)
        return replace(
            Prediction.of(prediction.x0, prediction.eps, level),
            variance_fraction=prediction.variance_fraction,
        )

    def energy(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy of the base at the same state.

        Args:
            x_t: states of this path, (batch, *shape).
            t: one time, one per item, or a Level of this path.
            condition: one row per item, or None.

        Raises:
            ValueError: for a base that has none.
        """
        level, base_level = self._levels(t, x_t)
        return energy_of(self.base, _ratio(base_level, level) * x_t, base_level, condition)

    @property
    def hidden(self) -> Callable[[Tensor], Tensor]:
        """(condition) -> hidden rows. AttributeError where the base does not understand them."""
        return hidden_of(self.base)

    @property
    def consistent(self) -> bool:
        """Whether x0 and eps add up to x_t."""
        return is_consistent(self.base)

    def _levels(self, t: Tensor | float | Level, x_t: Tensor) -> tuple[Level, Level]:
        """The Level of this path, and that of the base."""
        return self.path.at(t, like=x_t), self.base.path.at(self.path.at(t), like=x_t)


def _ratio(level: Level, other: Level) -> Coefficient:
    """alpha/alpha' = sigma/sigma', by the larger of each pair, which is never 0."""
    return larger(level.alpha, level.sigma) / larger(other.alpha, other.sigma)
