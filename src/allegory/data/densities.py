r"""The densities that the toys are drawn from, in their own raw units.

A curve c(u), u uniform on [0, 1], with noise s is a mixture of one Gaussian a point,

    p(x) = int N(x; c(u), s^2 I) du  ~  sum_k w_k N(x; c(u_k), s^2 I),

by the Gauss-Legendre rule, whose nodes stand less than 0.8 s apart: the error of a rule with
spacing h on a Gaussian is exp(-2 pi^2 s^2/h^2), here below 1e-13. A circle has the integral in
closed form, by the Bessel function I_0.

An arm of the pinwheel is a map of a Gaussian (a, b): x = R(theta(a)) (a, b), so p(x) is the
Gaussian density over |det| = |1 - theta'(a) b|, summed over all (a, b) that lead to x. They are the
roots in a of <e(theta(a)), x> = a, e(theta) the unit vector at that angle; b is then the other
component of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..lookup import pick
from ..numerics.quadrature import gauss_legendre
from . import toys

CHUNK = 1000
MOON_NODES, ROLL_NODES = 160, 500  # of a moon, of the roll
CELLS, REACH, HALVINGS = (
    256,
    9.0,
    54,
)  # where roots are looked for: this many standard deviations of a, to its last bit


def log_density(name: str, x: Float[Tensor, "..."]) -> Float64[Tensor, " n"]:
    """log p(x) in nats of the toy of this name, x (n, 2) and p in its raw units; -inf where p is 0.

    Computed in float64. ValueError for an unknown name, with the closest, or points that are not on
    the plane.
    """
    density = pick("name", name, DENSITIES)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"x: shape {tuple(x.shape)}; give points of the plane, (n, 2)")
    return torch.cat([density(part) for part in x.double().split(CHUNK)])


def _moons(x: Tensor) -> Tensor:
    u, log_weight = _rule(MOON_NODES)
    both = torch.cat([toys.moon(math.pi * u, sign) for sign in (1.0, -1.0)])
    return _mixture(x, both, log_weight.repeat(2) - math.log(2), toys.MOON_NOISE)


def _swiss_roll(x: Tensor) -> Tensor:
    u, log_weight = _rule(ROLL_NODES)
    return _mixture(x, toys.roll(u), log_weight, toys.ROLL_NOISE)


def _checkerboard(x: Tensor) -> Tensor:
    """1/32 on the eight squares."""
    inside = ((x >= -4) & (x < 4)).all(1) & ((x / 2).floor().sum(1).remainder(2) == 0)
    return torch.where(inside, x.new_tensor(-math.log(32)), -math.inf)


def _eight_gaussians(x: Tensor) -> Tensor:
    centres = toys.centre(torch.arange(8, dtype=x.dtype))
    return _mixture(x, centres, x.new_full((8,), -math.log(8)), toys.CENTRE_NOISE)


def _rings(x: Tensor) -> Tensor:
    """Of each, p(x) = exp(-(r^2 + R^2)/(2 s^2)) I_0(r R/s^2) / (2 pi s^2) (Rice 1944), r = |x|."""
    r, radius, variance = (
        x.norm(dim=1)[:, None],
        toys.ring(torch.arange(4, dtype=x.dtype)),
        toys.RING_NOISE**2,
    )
    # I_0 is taken less its growth exp(r R/s^2), which completes the square.
    each = torch.special.i0e(r * radius / variance).log() - (r - radius).square() / (2 * variance)
    total: Tensor = each.logsumexp(1) - math.log(4 * 2 * math.pi * variance)
    return total


def _pinwheel(x: Tensor) -> Tensor:
    arms = torch.arange(5, dtype=x.dtype)[:, None]
    (mean, wide), narrow = toys.ARM_RADIUS, toys.ARM_WIDTH
    edge = torch.linspace(mean - REACH * wide, mean + REACH * wide, CELLS + 1, dtype=x.dtype)
    above = _along(x[:, None, None], arms, edge)[0] > edge  # (n, 5, edges)
    point, arm, cell = (above[..., 1:] != above[..., :-1]).nonzero(as_tuple=True)
    a, there = _root(x[point], arms[arm, 0], edge[cell], edge[cell + 1], above[point, arm, cell])
    b, stretch = there
    square = ((a - mean) / wide).square() + (b / narrow).square()
    each = -square / 2 - (1 - stretch * b).abs().log() - math.log(5 * 2 * math.pi * wide * narrow)
    # log of the sum over the roots of each point.
    most = x.new_full((len(x),), -math.inf).scatter_reduce(0, point, each, "amax")
    return most + torch.zeros_like(most).index_add(0, point, (each - most[point]).exp()).log()


def _along(x: Tensor, arm: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """The components of x along the arm's direction at radius a and across it."""
    angle = toys.arm_angle(arm, a)
    cos, sin = angle.cos(), angle.sin()
    return x[..., 0] * cos + x[..., 1] * sin, x[..., 1] * cos - x[..., 0] * sin


def _root(
    x: Tensor, arm: Tensor, low: Tensor, high: Tensor, above: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The a in [low, high] with <e(theta(a)), x> = a, by halving; b there, and theta'(a)."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left = (_along(x, arm, middle)[0] > middle) == above
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    a = (low + high) / 2
    return a, (_along(x, arm, a)[1], toys.arm_slope(a))


@lru_cache
def _rule(count: int) -> tuple[Tensor, Tensor]:
    """Nodes of the Gauss-Legendre rule on [0, 1] and the logarithms of its weights."""
    nodes, weights = gauss_legendre(count)
    return nodes, weights.log()


def _mixture(x: Tensor, means: Tensor, log_weight: Tensor, std: float) -> Tensor:
    """log sum_k w_k N(x; m_k, std^2 I)."""
    each = log_weight - torch.cdist(
        x, means, compute_mode="donot_use_mm_for_euclid_dist"
    ).square() / (2 * std**2)
    most = each.amax(1, keepdim=True)
    # e^-700 is nothing here, but smaller numbers lose digits, and a processor its speed.
    total: Tensor = (each - most).clamp(min=-700.0).exp().sum(1).log() + most[:, 0]
    return total - math.log(2 * math.pi * std**2)


DENSITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "moons": _moons,
    "swiss_roll": _swiss_roll,
    "checkerboard": _checkerboard,
    "eight_gaussians": _eight_gaussians,
    "pinwheel": _pinwheel,
    "rings": _rings,
}
"""Of points of the plane in float64."""
