r"""Predictions: what is believed of x0 and eps at a Level, and every name for it.

x_t = alpha x0 + sigma eps ties the two, so one more linear relation  y = a x0 + b eps  fixes both. Each target that
a network may be trained on is such a row (a, b), and so is x_t itself:

    x_t    (alpha, sigma)                    the noisy data
    x0     (1, 0)                            the clean data
    eps    (0, 1)                            the noise (Ho et al. 2020)
    score  (0, -1/sigma)                     grad log q(x_t | x0)   (Luo 2022, eq. 151)
    v      (-sigma, alpha)                   Salimans & Ho 2022
    flow   (d alpha/dt, d sigma/dt)          dx_t/dt along the path (Lipman et al. 2023)
    edm    (sigma, -alpha s^2) / (s sqrt(sigma^2 + s^2 alpha^2))
                                             unit-variance target of Karras et al. 2022, data of standard deviation s

Given the values u, y of two rows (a, b) and (a', b'), any linear functional  c0 x0 + c1 eps  is  p u + q y  with

    det = a b' - b a'        p = (c0 b' - c1 a') / det        q = (a c1 - b c0) / det,

the one 2x2 solve behind every conversion, and behind every solver step, because the state at another Level is the
functional (alpha_s, sigma_s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..names import pick
from .path import Level, Path
from .scale import Scale, Term, sqrt, weighted_sum


@dataclass(frozen=True)
class Row:
    """A target y = a x0 + b eps, and the ends of a path at which it says nothing of x0."""

    name: str
    coefficients: Callable[[Level], tuple[Scale, Scale]]
    needs_signal: bool = False  # gives no x0 where alpha = 0
    needs_noise: bool = False  # is itself infinite where sigma = 0

    def read(self, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """What an output y of this row says at x_t."""
        return Prediction.solve(self, y, x_t, level)

    def check(self, path: Path) -> None:
        """ValueError, with the remedy, when this row cannot be trained on this path."""
        start, end = path.schedule.ends
        if self.needs_signal and end == -float("inf"):
            raise ValueError(
                f"row={self.name!r}: at t = 1 this path has no signal (zero terminal SNR), where {self.name} says "
                "nothing of x0; use row='v', 'x0', 'flow' or 'edm', or a schedule with a finite end"
            )
        if self.needs_noise and start == float("inf"):
            raise ValueError(
                f"row={self.name!r}: at t = 0 this path has no noise, where {self.name} is infinite; "
                "use row='v', 'eps', 'flow' or 'edm', or a schedule with a finite start"
            )


def edm(data_std: float) -> Row:
    """The row of Karras et al. 2022 (table 1, "EDM") for data of this standard deviation."""

    def coefficients(level: Level) -> tuple[Scale, Scale]:
        spread = sqrt(level.sigma * level.sigma + (data_std * level.alpha) * (data_std * level.alpha))
        return level.sigma / (data_std * spread), -data_std * level.alpha / spread

    return Row("edm" if data_std == 1 else f"edm:{data_std:g}", coefficients)


ROWS: dict[str, Row] = {
    "x0": Row("x0", lambda level: (1.0, 0.0)),
    "eps": Row("eps", lambda level: (0.0, 1.0), needs_signal=True),
    "score": Row("score", lambda level: (0.0, -1 / level.sigma), needs_signal=True, needs_noise=True),
    "v": Row("v", lambda level: (-level.sigma, level.alpha)),
    "flow": Row("flow", lambda level: (level.dalpha, level.dsigma)),
    "edm": edm(1.0),
}
"""The targets a network may be trained on, by name."""

X_T = Row("x_t", lambda level: (level.alpha, level.sigma))
"""The row of the state itself: every Prediction agrees with x_t."""


def row_named(name: str | Row, data_std: float = 1.0) -> Row:
    """The row of this name; `edm` takes the standard deviation of the data. ValueError names the closest."""
    if isinstance(name, Row):
        return name
    return edm(data_std) if name == "edm" and data_std != 1.0 else pick("row", name, ROWS)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The pair (x0, eps) believed at a Level, held as the values u and y of two rows; every other row is a view.

    A model that learns the variance of a reverse step adds its `share`: where the logarithm of that variance lies between
    the smallest that fits the data (0) and the largest (1), number by number (Nichol & Dhariwal 2021, eq. 15).
    """

    u: Float[Tensor, "b *shape"]
    y: Float[Tensor, "b *shape"]
    rows: tuple[Row, Row]
    level: Level
    share: Tensor | None = None

    @classmethod
    def solve(cls, row: str | Row, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """The pair for which the row is y and alpha x0 + sigma eps is x_t: what a network's output means."""
        if y.shape != x_t.shape:
            raise ValueError(f"y: shape {tuple(y.shape)} for x_t {tuple(x_t.shape)}; a prediction has the shape of x_t")
        return cls(x_t, y, (X_T, row_named(row)), level)

    @classmethod
    def of(cls, x0: Tensor, eps: Tensor, level: Level) -> Prediction:
        """The pair itself, when both are known: the truth of a training item."""
        return cls(x0, eps, (ROWS["x0"], ROWS["eps"]), level)

    @property
    def x0(self) -> Float[Tensor, "b *shape"]:
        """The clean data."""
        return self.view(ROWS["x0"])

    @property
    def eps(self) -> Float[Tensor, "b *shape"]:
        """The noise."""
        return self.view(ROWS["eps"])

    @property
    def x_t(self) -> Float[Tensor, "b *shape"]:
        """The state alpha x0 + sigma eps."""
        return self.view(X_T)

    def squared_error(self, truth: Prediction, row: str | Row) -> Float[Tensor, "b *shape"]:
        """|error of that row|^2, number by number, computed on the row that was predicted.

        alpha dx0 + sigma deps = 0 makes the errors of two rows proportional: dy' = (det'/det) dy with
        det = alpha b - sigma a.
        """
        own, asked = self.rows[1], row_named(row)
        ratio = self._determinant(asked) / self._determinant(own)
        return (ratio * (self.view(own) - truth.view(own))).square()

    def _determinant(self, row: Row) -> Scale:
        a, b = row.coefficients(self.level)
        return self.level.alpha * b - self.level.sigma * a

    def view(self, row: str | Row) -> Float[Tensor, "b *shape"]:
        """The prediction under another name: a x0 + b eps."""
        row = row_named(row)
        if row is self.rows[0]:
            return self.u
        return self.y if row is self.rows[1] else self.combine(*row.coefficients(self.level))

    def at(self, level: Level) -> Float[Tensor, "b *shape"]:
        """alpha_s x0 + sigma_s eps: the same pair seen at another Level, which is a DDIM step (Song et al. 2020)."""
        return self.combine(level.alpha, level.sigma)

    def combine(self, c0: Scale, c1: Scale) -> Float[Tensor, "b *shape"]:
        """c0 x0 + c1 eps."""
        return weighted_sum(*self.terms(c0, c1))

    def terms(self, c0: Scale, c1: Scale) -> tuple[Term, Term]:
        """c0 x0 + c1 eps as (p, u), (q, y), for a sum that goes on: the 2x2 solve of the module's docstring."""
        (a, b), (a_y, b_y) = (row.coefficients(self.level) for row in self.rows)
        det = a * b_y - b * a_y
        if isinstance(det, float) and det == 0.0:
            where = "alpha = 0" if self.level.alpha == 0.0 else f"sigma = {self.level.sigma}"
            raise ValueError(
                f"{self.rows[0].name} and {self.rows[1].name} do not fix x0 and eps where {where}; "
                "use row='v', 'flow' or 'edm', or stay away from that end"
            )
        return ((c0 * b_y - c1 * a_y) / det, self.u), ((a * c1 - b * c0) / det, self.y)

    def towards(self, other: Prediction, weight: float) -> Prediction:
        """self + weight (other - self), row by row: what guidance and interpolation do. Both stand at one Level."""
        mine, theirs = self, other
        if mine.rows[1] is not theirs.rows[1] or mine.rows[0] is not theirs.rows[0]:
            mine, theirs = (
                Prediction.of(mine.x0, mine.eps, mine.level),
                Prediction.of(theirs.x0, theirs.eps, mine.level),
            )
        u = mine.u if mine.u is theirs.u else torch.lerp(mine.u, theirs.u, weight)
        return Prediction(u, torch.lerp(mine.y, theirs.y, weight), mine.rows, mine.level, other.share)


@runtime_checkable
class Predict(Protocol):
    """(x_t, t, condition) -> Prediction: the one interface that samplers, guidance, likelihood and losses know.

    t is one time, one per item, or a Level; condition is None for "no condition". Any function of this form is one.
    """

    def __call__(self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None) -> Prediction:
        """What is believed of x0 and eps, given x_t."""
        ...


def energy_of(
    predict: Predict, x_t: Float[Tensor, "b *shape"], t: Tensor | float | Level, condition: Tensor | None = None
) -> Float[Tensor, " b"]:
    """-log p(x_t) in nats, up to a constant, of a Predict with an `energy`. ValueError for one that has only a score."""
    energy = getattr(predict, "energy", None)
    if energy is None:
        raise ValueError(
            f"predict: {type(predict).__name__} has a score but no energy, so no two states can be weighed against each "
            "other; correct with langevin, or give an Energy, an oracle, or a composition of these"
        )
    found: Tensor = energy(x_t, t, condition)
    return found
