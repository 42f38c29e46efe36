"""Exact expectations: rules of points and weights, and fixed draws.

Log-densities of linear-Gaussian models are quadratic, and a quadratic has its exact mean under N(0, I) over the 2n points
+-sqrt(n) e_i with equal weights (the cubature rule of degree 3), so an expectation over a whole chain costs no randomness.
Smooth functions of one variable are integrated by Gauss-Hermite nodes or by the trapezoidal rule, which on a
decaying analytic integrand converges faster than any power of the spacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def draws(seed: int, *shape: int) -> Float[Tensor, "..."]:
    """Standard-normal numbers that are the same in every run, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_turn(noise: Float[Tensor, "n t d"]) -> Callable[[Tensor], Tensor]:
    """The t noises one after another, as the library asks for its draws."""
    left = iter(noise.unbind(1))
    return lambda like: next(left)


def cubature(*shape: int) -> Float[Tensor, "..."]:
    """2n points of this shape, n numbers each, whose plain mean is E under N(0, I) for polynomials of degree 3."""
    count = math.prod(shape)
    points = math.sqrt(count) * torch.eye(count, dtype=torch.float64)
    return torch.cat([points, -points]).reshape(2 * count, *shape)


def hermite(
    mean: Tensor | float, std: float, count: int = 60
) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
    """Nodes (n, 1) and weights (n,) with E f(z) = sum_i weight_i f(node_i) for z ~ N(mean, std^2)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    z = float(mean) + std * torch.from_numpy(nodes)[:, None]
    return z, torch.from_numpy(weights / weights.sum())


def legendre(count: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Nodes and weights with the integral of f over [0, 1] = sum_i weight_i f(node_i)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(nodes + 1) / 2, torch.from_numpy(weights) / 2


def line(half: float = 12.0, count: int = 2401) -> tuple[Float[Tensor, "n 1"], float]:
    """Points (n, 1) from -half to half, and the spacing: sum f(x) * spacing is the integral of f."""
    return torch.linspace(-half, half, count, dtype=torch.float64)[:, None], 2 * half / (count - 1)


def normal(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """log N(x; mean, variance), number by number: the textbook line, apart from the library's `Gaussian`."""
    variance = torch.as_tensor(variance, dtype=torch.float64)
    return -0.5 * (2 * math.pi * variance).log() - (x - mean) ** 2 / (2 * variance)
