r"""A Gaussian conditioned on a linear measurement with Gaussian noise.

For x ~ N(m, r^2 I) and y = A x + n, n ~ N(0, V), with kappa = 1/r^2,

    E[x | y] = m + A^T (A A^T + kappa V)^-1 (y - A m)
             = the x that minimises  |y - A x|^2_(1/V) + kappa |x - m|^2

and with the limit m + A^+ (y - A m) where kappa V = 0. A draw of x | y is the same function of a
draw of x and of one of the noise (Matheron's rule): x' + A^T (...)^-1 (y - A x' - n').
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.krylov import gmres
from ..sampling.mcmc.target import Draw
from .measurement import Measurement
from .methods import check_batch
from .operators.base import LinearOperator

_TOLERANCE = {torch.float64: 1e-12}
"""The relative residual of a solution, by precision."""


def solve_tolerance(like: Tensor) -> float:
    """The relative residual to which linear equations are solved in the precision of `like`."""
    return _TOLERANCE.get(like.dtype, 1e-6)


def conditional_mean(
    measurement: Measurement,
    mean: Float[Tensor, "b *shape"],
    precision: float,
    noise: Float[Tensor, "b *measured"] | None = None,
) -> Float[Tensor, "b *shape"]:
    """E[x | y] for x ~ N(mean, I/precision).

    Args:
        measurement: of a linear operator, with Gaussian noise.
        mean: m.
        precision: kappa = 1/r^2; 0 where x may be anything.
        noise: what is subtracted from y; None for nothing.

    Raises:
        ValueError: for another operator or noise, or another number of items than of measurements.
    """
    check_batch(measurement, mean)
    operator = measurement.linear
    y = measurement.y.to(mean)
    residual = y - operator(mean) if noise is None else y - operator(mean) - noise
    weight = (precision * measurement.variance.to(mean)).expand_as(residual)

    diagonal = operator.diagonal
    if diagonal is not None:
        return mean + _divided(diagonal.to(mean), weight, residual)

    exact = (weight == 0).flatten(1).all(1)
    if bool(exact.all()):
        return mean + operator.pseudo_inverse(residual)
    change = _regularised(operator, weight, residual)
    if bool(exact.any()):
        chosen = exact.view(-1, *(1,) * (mean.ndim - 1))
        change = torch.where(chosen, operator.pseudo_inverse(residual), change)
    return mean + change


def conditional_draw(
    measurement: Measurement,
    mean: Float[Tensor, "b *shape"],
    std: float,
    draw: Draw,
) -> Float[Tensor, "b *shape"]:
    """A draw of x | y for x ~ N(mean, std^2 I), by Matheron's rule.

    Args:
        measurement: of a linear operator, with Gaussian noise.
        mean: m.
        std: r, above 0.
        draw: the next standard-normal draw of every item, like a given tensor.

    Raises:
        ValueError: for another operator or noise.
    """
    x = mean + std * draw(mean)
    y = measurement.y.to(mean)
    noise = measurement.variance.to(mean).sqrt() * draw(y)
    return conditional_mean(measurement, x, 1 / (std * std), noise)


def _divided(diagonal: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
    """d residual / (d^2 + weight), 0 where d = 0."""
    seen = diagonal != 0
    below = (diagonal * diagonal + weight).where(seen, torch.ones_like(weight))
    return (diagonal * residual / below).where(seen, torch.zeros_like(residual))


def _regularised(operator: LinearOperator, weight: Tensor, residual: Tensor) -> Tensor:
    """A^T (A A^T + weight)^-1 residual."""

    def product(v: Tensor) -> Tensor:
        return operator(operator.adjoint(v)) + weight * v

    return operator.adjoint(gmres(product, residual, tolerance=solve_tolerance(residual)).x)
