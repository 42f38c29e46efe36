"""Exact expectations: rules of points and weights, and fixed draws.

Log-densities of linear-Gaussian models are quadratic, and the mean of a quadratic under N(0, I) is
its plain mean over the 2n points +-sqrt(n) e_i (the cubature rule of degree 3), so that an
expectation over a whole chain needs no randomness. Smooth functions of one variable are integrated
by Gauss-Hermite nodes or by the trapezoidal rule, which on a decaying analytic integrand converges
faster than any power of the spacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def draws(seed: int, *shape: int) -> Float[Tensor, "..."]:
    """Standard-normal numbers of this seed and shape, the same in every run, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_turn(noise: Float[Tensor, "n t d"]) -> Callable[[Tensor], Tensor]:
    """A source of draws that returns the t entries of `noise` one after another."""
    left = iter(noise.unbind(1))
    return lambda like: next(left)


def cubature(*shape: int) -> Float[Tensor, "..."]:
    """2n points of this shape of n numbers, of equal weight: E under N(0, I) to degree 3."""
    count = math.prod(shape)
    points = math.sqrt(count) * torch.eye(count, dtype=torch.float64)
    return torch.cat([points, -points]).reshape(2 * count, *shape)


def hermite(
    mean: Tensor | float, std: float, count: int = 60
) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
    """`count` nodes and weights: E f(z) = sum_i weight_i f(node_i) for z ~ N(mean, std^2)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    z = float(mean) + std * torch.from_numpy(nodes)[:, None]
    return z, torch.from_numpy(weights / weights.sum())


def line(half: float = 12.0, count: int = 2401) -> tuple[Float[Tensor, "n 1"], float]:
    """`count` points from -half to half and their spacing: sum f(x) * spacing integrates f."""
    return torch.linspace(-half, half, count, dtype=torch.float64)[:, None], 2 * half / (count - 1)


def normal(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """log N(x; mean, variance) per number, independent of the library's `Gaussian`.

    Args:
        x: where.
        mean: of the normal.
        variance: of the normal.
    """
    variance = torch.as_tensor(variance, dtype=torch.float64)
    return -0.5 * (2 * math.pi * variance).log() - (x - mean) ** 2 / (2 * variance)
