r"""Predictions: the pair (x0, eps) at a noise level, and its conversions to v, score, flow and EDM.

x_t = alpha x0 + sigma eps ties the two, so one more linear relation  y = a x0 + b eps  fixes both.
Each target that a network may be trained on is such a target (a, b), and so is x_t itself:

    x_t    (alpha, sigma)                    the noisy data
    x0     (1, 0)                            the clean data
    eps    (0, 1)                            the noise (Ho et al. 2020)
    score  (0, -1/sigma)                     grad log q(x_t | x0)   (Luo 2022, eq. 151)
    v      (-sigma, alpha)                   Salimans & Ho 2022
    flow   (d alpha/dt, d sigma/dt)          dx_t/dt along the path (Lipman et al. 2023)
    edm    (sigma, -alpha s^2) / (s sqrt(sigma^2 + s^2 alpha^2))
                                             unit-variance target of Karras et al. 2022, data of
                                             standard deviation s

Given the values u, y of two targets (a, b) and (a', b'), any linear functional  c0 x0 + c1 eps  is
p u + q y  with

    det = a b' - b a'        p = (c0 b' - c1 a') / det        q = (a c1 - b c0) / det,

the one 2x2 solve behind every conversion, and behind every solver step, because the state at
another Level is the functional (alpha_s, sigma_s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import Registry
from .coefficients import Coefficient, Term, sqrt, weighted_sum
from .path import Level, Path


@dataclass(frozen=True)
class Target:
    """A target y = a x0 + b eps of a network.

    Args:
        name: what it is called.
        coefficients: (a, b) at a Level.
        needs_signal: whether it does not determine x0 where alpha = 0.
        needs_noise: whether it is infinite where sigma = 0.
    """

    name: str
    coefficients: Callable[[Level], tuple[Coefficient, Coefficient]]
    needs_signal: bool = False
    needs_noise: bool = False

    def read(self, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """The prediction of an output y of this target at x_t and a `level`."""
        return Prediction.solve(self, y, x_t, level)

    def check(self, path: Path) -> None:
        """ValueError, with the remedy, when this target cannot be trained on this path."""
        start, end = path.schedule.ends
        if self.needs_signal and end == -float("inf"):
            raise ValueError(
                f"target={self.name!r}: at t = 1 this path has no signal (zero terminal SNR), "
                f"where {self.name} does not determine x0; use target='v', 'x0', 'flow' or 'edm', "
                "or a schedule with a finite end"
            )
        if self.needs_noise and start == float("inf"):
            raise ValueError(
                f"target={self.name!r}: at t = 0 this path has no noise, where {self.name} is "
                "infinite; use target='v', 'eps', 'flow' or 'edm', or a schedule with a finite "
                "start"
            )


def edm_target(data_std: float) -> Target:
    """The preconditioned target of EDM, of unit variance (Karras et al. 2022, table 1).

    Args:
        data_std: standard deviation of the data, positive.
    """
    if not data_std > 0:
        raise ValueError(f"data_std={data_std}; give a positive number")

    def coefficients(level: Level) -> tuple[Coefficient, Coefficient]:
        signal = data_std * level.alpha
        std = sqrt(level.sigma * level.sigma + signal * signal)
        return level.sigma / (data_std * std), -data_std * level.alpha / std

    return Target("edm" if data_std == 1 else f"edm:{data_std:g}", coefficients)


TARGETS: Registry[Target] = Registry("target")
"""The targets a network may be trained on, by name."""

TARGETS.register("x0", Target("x0", lambda level: (1.0, 0.0)), "the clean data")
TARGETS.register(
    "eps",
    Target("eps", lambda level: (0.0, 1.0), needs_signal=True),
    "the noise (Ho et al. 2020)",
)
TARGETS.register(
    "score",
    Target("score", lambda level: (0.0, -1 / level.sigma), needs_signal=True, needs_noise=True),
    "grad log q(x_t | x0) = -eps/sigma (Song & Ermon 2019)",
)
TARGETS.register(
    "v",
    Target("v", lambda level: (-level.sigma, level.alpha)),
    "alpha eps - sigma x0 (Salimans & Ho 2022)",
)
TARGETS.register(
    "flow",
    Target("flow", lambda level: (level.dalpha, level.dsigma)),
    "dx_t/dt along the path (Lipman et al. 2023)",
)
TARGETS.register(
    "edm",
    edm_target(1.0),
    "the preconditioned target of unit variance (Karras et al. 2022)",
    make=edm_target,
    parameter="the standard deviation of the data, a positive number",
)

X_T = Target("x_t", lambda level: (level.alpha, level.sigma))
"""The state itself as a target: every Prediction agrees with x_t."""


def target_named(name: str | Target, data_std: float = 1.0) -> Target:
    """The target of this name.

    Args:
        name: of `TARGETS`, or a Target, which is returned as it is.
        data_std: standard deviation of the data, for the target "edm".

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(name, Target):
        return name
    if name == "edm" and data_std != 1.0:
        return edm_target(data_std)
    return TARGETS.named(name)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The pair (x0, eps) predicted at a Level; every other target is a view of it.

    Args:
        u: the value of the first of `targets`.
        y: the value of the second.
        targets: two targets that determine x0 and eps.
        level: the noise level.
        variance_fraction: of a model that learns the variance of a reverse step: where the
            logarithm of that variance lies between the smallest that fits the data (0) and the
            largest (1), per number (Nichol & Dhariwal 2021, eq. 15); None for other models.
    """

    u: Float[Tensor, "b *shape"]
    y: Float[Tensor, "b *shape"]
    targets: tuple[Target, Target]
    level: Level
    variance_fraction: Tensor | None = None

    @classmethod
    def solve(cls, target: str | Target, y: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """The pair for which the target is y and alpha x0 + sigma eps is x_t.

        Args:
            target: what y is, e.g. the output of a network.
            y: its value, like x_t.
            x_t: the state, (batch, *shape).
            level: the noise level.
        """
        if y.shape != x_t.shape:
            raise ValueError(
                f"y: shape {tuple(y.shape)} for x_t {tuple(x_t.shape)}; "
                "a prediction has the shape of x_t"
            )
        return cls(x_t, y, (X_T, target_named(target)), level)

    @classmethod
    def of(cls, x0: Tensor, eps: Tensor, level: Level) -> Prediction:
        """The pair itself at a `level`, where both x0 and eps are known."""
        return cls(x0, eps, (TARGETS["x0"], TARGETS["eps"]), level)

    @property
    def x0(self) -> Float[Tensor, "b *shape"]:
        """The clean data."""
        return self.view(TARGETS["x0"])

    @property
    def eps(self) -> Float[Tensor, "b *shape"]:
        """The noise."""
        return self.view(TARGETS["eps"])

    @property
    def x_t(self) -> Float[Tensor, "b *shape"]:
        """The state alpha x0 + sigma eps."""
        return self.view(X_T)

    def squared_error(self, truth: Prediction, target: str | Target) -> Float[Tensor, "b *shape"]:
        """|error of a target|^2 per number, computed on the target that was predicted.

        alpha dx0 + sigma deps = 0 makes the errors of two targets proportional: dy' = (det'/det) dy
        with det = alpha b - sigma a.

        Args:
            truth: the true pair at the same x_t.
            target: whose error.
        """
        own = self.targets[1]
        ratio = self._determinant(target_named(target)) / self._determinant(own)
        return (ratio * (self.view(own) - truth.view(own))).square()

    def _determinant(self, target: Target) -> Coefficient:
        a, b = target.coefficients(self.level)
        return self.level.alpha * b - self.level.sigma * a

    def view(self, target: str | Target) -> Float[Tensor, "b *shape"]:
        """The predicted value a x0 + b eps of another target."""
        target = target_named(target)
        if target is self.targets[0]:
            return self.u
        if target is self.targets[1]:
            return self.y

        return self.combine(*target.coefficients(self.level))

    def at(self, level: Level) -> Float[Tensor, "b *shape"]:
        """alpha_s x0 + sigma_s eps at another `level`: a DDIM step (Song et al. 2020)."""
        return self.combine(level.alpha, level.sigma)

    def combine(self, c0: Coefficient, c1: Coefficient) -> Float[Tensor, "b *shape"]:
        """c0 x0 + c1 eps."""
        return weighted_sum(*self.terms(c0, c1))

    def terms(self, c0: Coefficient, c1: Coefficient) -> tuple[Term, Term]:
        """The terms (p, u), (q, y) of c0 x0 + c1 eps, by the 2x2 solve of the module."""
        (a, b), (a_y, b_y) = (target.coefficients(self.level) for target in self.targets)
        det = a * b_y - b * a_y
        if isinstance(det, float) and det == 0.0:
            where = "alpha = 0" if self.level.alpha == 0.0 else f"sigma = {self.level.sigma}"
            raise ValueError(
                f"{self.targets[0].name} and {self.targets[1].name} do not determine x0 and eps "
                f"where {where}; use target='v', 'flow' or 'edm', or stay away from that end"
            )

        p = (c0 * b_y - c1 * a_y) / det
        q = (a * c1 - b * c0) / det

        return (p, self.u), (q, self.y)

    def extrapolate(self, other: Prediction, weight: Coefficient) -> Prediction:
        """self + weight (other - self), for guidance and interpolation.

        Args:
            other: a prediction at the same Level.
            weight: 0 gives this prediction, 1 the other; one number, or a tensor that broadcasts
                against the data.
        """
        if isinstance(weight, Tensor):
            weight = weight.to(self.y)
        mine, theirs = self, other
        same = all(a is b for a, b in zip(mine.targets, theirs.targets, strict=True))
        if not same:
            mine = Prediction.of(mine.x0, mine.eps, mine.level)
            theirs = Prediction.of(theirs.x0, theirs.eps, mine.level)

        u = mine.u if mine.u is theirs.u else torch.lerp(mine.u, theirs.u, weight)
        y = torch.lerp(mine.y, theirs.y, weight)

        return Prediction(u, y, mine.targets, mine.level, other.variance_fraction)


@runtime_checkable
class Predict(Protocol):
    """(x_t, t, condition) -> Prediction: what samplers, guidance, likelihood and losses know.

    A function of this form becomes one by `as_predict`.
    """

    @property
    def path(self) -> Path:
        """The forward process that produced x_t."""
        ...

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction of x0 and eps.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level of the path.
            condition: one row per item, or None for no condition.
        """
        ...


def check_predict(predict: object) -> None:
    """ValueError for what is no Predict, such as a whole model or a network."""
    if callable(predict) and hasattr(predict, "path"):
        return
    has_one = hasattr(predict, "denoiser")
    remedy = "its denoiser" if has_one else "a Predict, which `as_predict` makes of a function"
    raise ValueError(f"predict: of type {type(predict).__name__}; give {remedy}")


class FunctionPredict:
    """A function as a Predict (see `as_predict`).

    Args:
        function: called as function(x_t, t, condition).
        path: the forward process of x_t.
        target: what the function returns; None for a Prediction.
    """

    def __init__(self, function: Callable[..., Any], path: Path, target: Target | None) -> None:
        self.function, self.path, self.target = function, path, target

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction of the function.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level of the path.
            condition: one row per item, or None for no condition.
        """
        if self.target is None:
            found = self.function(x_t, t, condition)
            if not isinstance(found, Prediction):
                raise ValueError(
                    f"function: returned {type(found).__name__}; return a Prediction, or say what "
                    "the tensor is, e.g. as_predict(function, path, target='eps')"
                )
            return found

        level = self.path.at(t, like=x_t)
        output = self.function(x_t, level, condition)
        if not isinstance(output, Tensor) or output.shape != x_t.shape:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"function: returned {shape} for x_t of shape {tuple(x_t.shape)}; return a tensor "
                "of that shape"
            )
        return Prediction.solve(self.target, output, x_t, level)


def as_predict(
    function: Callable[..., Any],
    path: Path,
    target: str | Target | None = None,
) -> FunctionPredict:
    """A function (x_t, t, condition) as a Predict.

    Args:
        function: called as function(x_t, t, condition). Without `target` it returns a Prediction;
            with `target` it returns a tensor like x_t, and t is the Level of the path at the times
            of x_t.
        path: the forward process of x_t.
        target: what the returned tensor is: "eps", "x0", "v", "score", "flow", "edm", or a Target.

    Raises:
        ValueError: for an unknown target, or one that the path does not allow.
    """
    if target is None:
        return FunctionPredict(function, path, None)

    named = target_named(target)
    named.check(path)
    return FunctionPredict(function, path, named)


def energy_of(
    predict: Predict,
    x_t: Float[Tensor, "b *shape"],
    t: Tensor | float | Level,
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """-log p(x_t) in nats per item, up to a constant, of a Predict with an `energy`.

    Args:
        predict: the Predict.
        x_t: states, (batch, *shape).
        t: one time, one per item, or a Level of the path.
        condition: one row per item, or None.

    Raises:
        ValueError: for a Predict that has only a score.
    """
    energy = getattr(predict, "energy", None)
    if energy is None:
        raise ValueError(
            f"predict: {type(predict).__name__} has a score but no energy, which the acceptance "
            "probability of two states needs; correct with langevin, or give an Energy, a Mixture, "
            "or a composition of these"
        )

    found: Tensor = energy(x_t, t, condition)

    return found
