r"""Draws of x0 given the state and the measurement, from p(x0 | x_t, y).

`conditional_draw` (in `linear_gaussian`) is the exact draw for a Gaussian around a mean and a
linear measurement with Gaussian noise. Here are the draw for any other likelihood, by a Markov
chain, and the two Gaussians that stand for p(x0 | x_t):

    IsotropicGaussian   N(x0hat, r^2 I),  r^2 = sigma^2 s^2/(alpha^2 s^2 + sigma^2)
    TweedieGaussian     N(x0hat, C),      C = (sigma^2/alpha) d x0hat/d x_t

The first is exact for data N(m, s^2 I), the second for Gaussian data of any covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count
from ..numerics.broadcast import expand_like
from ..numerics.lanczos import root_product
from ..process.instruction import Loop
from ..process.path import Level
from ..sampling.mcmc.langevin import Hamiltonian
from ..sampling.mcmc.target import Draw, EnergyDensity, Kernel
from .derivatives import linearised
from .likelihoods import GaussianNoise
from .linear_gaussian import conditional_draw
from .measurement import Measurement
from .methods import check_batch
from .tweedie import solved_by_covariance

ConditionalDraw = Callable[[Loop, Measurement], Tensor]
"""(loop, measurement) -> a draw of x0 given the state of the loop and the measurement, like the
state. Its noise comes from `loop.draw`."""

LikelihoodDraw = Callable[[Measurement, Tensor, float, Draw], Tensor]
"""(measurement, mean, std, draw) -> a draw of x0 ~ N(mean, std^2 I) given a measurement of it."""


@dataclass(frozen=True)
class ChainDraw:
    """A draw by a Markov chain on |x - mean|^2/(2 std^2) - log p(y | x), from the mean on.

    For any differentiable operator and likelihood. It is exact as the chain becomes long.

    Args:
        kernel: of the chain; its step is in units of 1/sqrt(1/std^2 + curvature).
        count: how many calls of the kernel.
        curvature: the largest second derivative of -log p(y | x); None for 1 over the smallest
            variance of Gaussian noise, which is that of an operator of norm 1, and 0 for other
            noise.

    Raises:
        ValueError: for a count below 1, or a negative curvature.
    """

    kernel: Kernel = field(default_factory=lambda: Hamiltonian(0.5, leapfrogs=5))
    count: int = 20
    curvature: float | None = None

    def __post_init__(self) -> None:
        check_count("count", self.count, 1, 100_000)
        if self.curvature is not None and not 0 <= self.curvature < math.inf:
            raise ValueError(f"curvature={self.curvature}; give a number of 0 or more")

    def __call__(
        self, measurement: Measurement, mean: Tensor, std: float, draw: Draw
    ) -> Float[Tensor, "b *shape"]:
        """The last state of the chain.

        Args:
            measurement: one per item.
            mean: (b, *shape).
            std: above 0.
            draw: the next standard-normal draw of every item, like a given tensor.
        """
        check_batch(measurement, mean)
        scale = self._scale(measurement, mean, std)

        def energy(u: Tensor) -> Tensor:
            square = (scale / std * u).square().flatten(1).sum(1)
            return square / 2 - measurement.log_likelihood(mean + scale * u)

        density, u = EnergyDensity(energy), torch.zeros_like(mean)
        for _ in range(self.count):
            u = self.kernel(density, u, draw).x
        return mean + scale * u

    def _scale(self, measurement: Measurement, mean: Tensor, std: float) -> Tensor:
        """1/sqrt(1/std^2 + curvature) of each item, (b, 1, ...)."""
        curvature = mean.new_zeros(len(mean))
        if self.curvature is not None:
            curvature = curvature + self.curvature
        elif isinstance(measurement.likelihood, GaussianNoise):
            variance = measurement.variance.to(mean).expand(measurement.y.shape)
            curvature = 1 / variance.flatten(1).amin(1)
        return expand_like((1 / (std * std) + curvature).rsqrt(), mean)


@dataclass(frozen=True)
class IsotropicGaussian:
    """x0 given x_t and y, with N(x0hat, r^2 I) for p(x0 | x_t): one evaluation.

    Args:
        data_std: s, the standard deviation of a number of an item in model space; infinite for
            r = sigma/alpha, with which DAPS was published.
        draw: of x0 given a mean, r and the measurement; `conditional_draw` is exact, for linear
            operators and Gaussian noise.

    Raises:
        ValueError: for a standard deviation that is not positive.
    """

    data_std: float = 1.0
    draw: LikelihoodDraw = conditional_draw

    def __post_init__(self) -> None:
        if not self.data_std > 0:
            raise ValueError(f"data_std={self.data_std}; give a positive number")

    def std(self, level: Level) -> float:
        """r at a `level`.

        Raises:
            ValueError: where it is infinite.
        """
        alpha, sigma = float(level.alpha), float(level.sigma)
        below = math.hypot(alpha, sigma / self.data_std)
        if below == 0.0:
            raise ValueError(
                "data_std=inf: no signal is left at the first Level, where sigma/alpha is "
                "infinite; give the standard deviation of the data"
            )
        return sigma / below

    def __call__(self, loop: Loop, measurement: Measurement) -> Float[Tensor, "b *shape"]:
        """The draw.

        Args:
            loop: the state, and the noise.
            measurement: one per item.
        """
        mean = loop.prediction().x0
        return self.draw(measurement, mean, self.std(loop.level), loop.draw)


@dataclass(frozen=True)
class TweedieGaussian:
    """x0 given x_t and y, with N(x0hat, C) for p(x0 | x_t), C by vector-Jacobian products.

    A draw x' = x0hat + C^(1/2) eps by Lanczos' method becomes one given y by Matheron's rule,
    x' + C A^T (V + A C A^T)^-1 (y - A x' - n'). It takes one evaluation, and one vector-Jacobian
    product per step of either method and one more.

    Args:
        tolerance: the relative residual at which the linear equation stops, and the relative
            change at which the root does.
        most: the largest number of steps of each; None for as many as it has unknowns.

    Raises:
        ValueError: for a tolerance that is not between 0 and 1.
    """

    tolerance: float = 1e-3
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance}; give a number between 0 and 1")
        if self.most is not None:
            check_count("most", self.most, 1, 1_000_000)

    def __call__(self, loop: Loop, measurement: Measurement) -> Float[Tensor, "b *shape"]:
        """The draw.

        Args:
            loop: the state, and the noise.
            measurement: of a linear operator with Gaussian noise, one per item.

        Raises:
            ValueError: for another operator or noise, and at a Level without signal.
        """
        check_batch(measurement, loop.x)
        if float(loop.level.alpha) == 0.0:
            raise ValueError(
                "levels: no signal is left at the first, where Tweedie's formula gives no "
                "covariance; use a path with a finite end, or another method"
            )
        found = linearised(loop.predict, loop.x, loop.level, loop.condition)
        operator, variance = measurement.linear, measurement.variance.to(loop.x)

        eps = loop.draw(loop.x)
        root = root_product(found.covariance, eps, tolerance=self.tolerance, most=self.most)
        x = found.prediction.x0 + root
        residual = measurement.residual(x)
        residual = residual - variance.sqrt() * loop.draw(residual)

        solved = solved_by_covariance(measurement, found, residual, self.tolerance, self.most)
        return x + found.covariance(operator.adjoint(solved))
