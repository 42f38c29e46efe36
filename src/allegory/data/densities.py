r"""The exact densities of the toys, in their raw units.

A curve c(u), u uniform on [0, 1], with noise s is a mixture of one Gaussian per point,

    p(x) = int N(x; c(u), s^2 I) du  ~  sum_k w_k N(x; c(u_k), s^2 I),

by the Gauss-Legendre rule, whose nodes are less than 0.8 s apart: the error of a rule with spacing
h on a Gaussian is exp(-2 pi^2 s^2/h^2), here below 1e-13. A circle has the integral in closed form,
by the Bessel function I_0.

An arm of the pinwheel is a map of a Gaussian (a, b): x = R(theta(a)) (a, b), so p(x) is the
Gaussian density over |det| = |1 - theta'(a) b|, summed over all (a, b) with that image. They are
the roots in a of <e(theta(a)), x> = a, with the unit vector e(theta) at that angle; b is the other
component of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..lookup import pick
from ..numerics.quadrature import gauss_legendre
from . import toys

_POINTS_AT_ONCE = 1000
_MOON_NODES = 160
_ROLL_NODES = 500

# The roots of the pinwheel: in so many cells over so many standard deviations of a, by bisection.
_CELLS = 256
_DEVIATIONS = 9.0
_HALVINGS = 54


def log_density(name: str, x: Float[Tensor, "..."]) -> Float64[Tensor, " n"]:
    """log p(x) of a toy in nats, computed in float64; -inf where p is 0.

    Args:
        name: of the toy, e.g. "moons".
        x: points of the plane in raw units, (n, 2).

    Raises:
        ValueError: for an unknown name, or another shape.
    """
    density = pick("name", name, DENSITIES)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"x: shape {tuple(x.shape)}; give points of the plane, (n, 2)")
    return torch.cat([density(part) for part in x.double().split(_POINTS_AT_ONCE)])


def _moons(x: Tensor) -> Tensor:
    u, log_weight = _rule(_MOON_NODES)
    both = torch.cat([toys.moon(math.pi * u, sign) for sign in (1.0, -1.0)])
    return _mixture(x, both, log_weight.repeat(2) - math.log(2), toys.MOON_NOISE)


def _swiss_roll(x: Tensor) -> Tensor:
    u, log_weight = _rule(_ROLL_NODES)
    return _mixture(x, toys.roll(u), log_weight, toys.ROLL_NOISE)


def _checkerboard(x: Tensor) -> Tensor:
    """1/32 on the eight squares."""
    in_range = ((x >= -4) & (x < 4)).all(1)
    on_square = (x / 2).floor().sum(1).remainder(2) == 0
    return torch.where(in_range & on_square, x.new_tensor(-math.log(32)), -math.inf)


def _eight_gaussians(x: Tensor) -> Tensor:
    centres = toys.centre(torch.arange(8, dtype=x.dtype))
    return _mixture(x, centres, x.new_full((8,), -math.log(8)), toys.CENTRE_NOISE)


def _rings(x: Tensor) -> Tensor:
    """p(x) = exp(-(r^2 + R^2)/(2 s^2)) I_0(r R/s^2) / (2 pi s^2) per ring, r = |x| (Rice 1944)."""
    r = x.norm(dim=1)[:, None]
    radius = toys.ring(torch.arange(4, dtype=x.dtype))
    variance = toys.RING_NOISE**2

    # i0e(z) = exp(-z) I_0(z), and its factor exp(r R/s^2) completes the square.
    each = torch.special.i0e(r * radius / variance).log() - (r - radius).square() / (2 * variance)
    total: Tensor = each.logsumexp(1) - math.log(4 * 2 * math.pi * variance)
    return total


def _pinwheel(x: Tensor) -> Tensor:
    arms = torch.arange(5, dtype=x.dtype)[:, None]
    mean, std = toys.ARM_RADIUS
    reach = _DEVIATIONS * std
    edge = torch.linspace(mean - reach, mean + reach, _CELLS + 1, dtype=x.dtype)

    above = _along(x[:, None, None], arms, edge)[0] > edge  # (n, 5, edges)
    point, arm, cell = (above[..., 1:] != above[..., :-1]).nonzero(as_tuple=True)
    bracket = _Bracket(edge[cell], edge[cell + 1], above[point, arm, cell])
    a = _root(x[point], arms[arm, 0], bracket)
    _, b = _along(x[point], arms[arm, 0], a)

    square = ((a - mean) / std).square() + (b / toys.ARM_WIDTH).square()
    log_det = (1 - toys.arm_slope(a) * b).abs().log()
    each = -square / 2 - log_det - math.log(5 * 2 * math.pi * std * toys.ARM_WIDTH)

    # logsumexp over the roots of each point.
    most = x.new_full((len(x),), -math.inf).scatter_reduce(0, point, each, "amax")
    total = torch.zeros_like(most).index_add(0, point, (each - most[point]).exp())
    return most + total.log()


def _along(x: Tensor, arm: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """The components of x along the arm's direction at radius a and across it."""
    angle = toys.arm_angle(arm, a)
    cos = angle.cos()
    sin = angle.sin()
    return x[..., 0] * cos + x[..., 1] * sin, x[..., 1] * cos - x[..., 0] * sin


class _Bracket(NamedTuple):
    """Ends of an interval with a root, and whether <e(theta(a)), x> > a at the lower one."""

    low: Tensor
    high: Tensor
    above: Tensor


def _root(x: Tensor, arm: Tensor, bracket: _Bracket) -> Tensor:
    """The a in the bracket with <e(theta(a)), x> = a, by bisection."""
    low, high, above = bracket
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        left = (_along(x, arm, middle)[0] > middle) == above
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return (low + high) / 2


@lru_cache
def _rule(count: int) -> tuple[Tensor, Tensor]:
    """Nodes of the Gauss-Legendre rule on [0, 1] and the logarithms of its weights."""
    nodes, weights = gauss_legendre(count)
    return nodes, weights.log()


def _mixture(x: Tensor, means: Tensor, log_weight: Tensor, std: float) -> Tensor:
    """log sum_k w_k N(x; m_k, std^2 I)."""
    distance = torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist")
    each = log_weight - distance.square() / (2 * std**2)
    most = each.amax(1, keepdim=True)
    # e^-700 is negligible here, and denormal numbers would be slow.
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
"""The log-density of each toy, of points (n, 2) in float64."""
