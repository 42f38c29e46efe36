r"""Simulation-based calibration: ranks of the truth among posterior draws (Talts et al. 2018).

If x is drawn from the prior, y given x, and x_1, ..., x_L given y from the posterior, then x, x_1,
..., x_L are exchangeable given y. For any function f(x, y) the rank of f(x, y) among the f(x_j, y)
is uniform on 0..L, with ties broken at random.

Uniformity is tested by the first components of Pearson's chi-square statistic. With h_k the
polynomials that are orthonormal on 0..L,

    c_k = n^{-1/2} sum_i h_k(rank_i),        X^2 = sum_{k=1}^{L} c_k^2

and each c_k is N(0, 1) for many items (Neyman 1937; Rayner & Best 1989). The sum of the first four
squares is compared with a chi-square number of 4 degrees of freedom: the whole X^2 is weak where a
posterior is shifted or too narrow, which is what goes wrong. c_1 > 0: the draws are too small.
c_2 > 0: they are too narrow, the truth is too often outside; c_2 < 0: too wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .significance import chi_square_p

_COMPONENTS = 4


@dataclass(frozen=True)
class RankTest:
    """The ranks of a function of items, and a test of their uniformity.

    Args:
        name: the function.
        counts: how many items have rank 0, 1, ..., L.
        location: c_1, standard normal under the exact posterior; above 0 where the draws are too
            small.
        dispersion: c_2, likewise; above 0 where the draws are too narrow, below 0 too wide.
        p: the p-value of uniformity.
    """

    name: str
    counts: tuple[int, ...]
    location: float
    dispersion: float
    p: float

    @property
    def finding(self) -> str:
        """What a rejected rank test says of the draws: "too narrow", "too large", ..."""
        location, dispersion = abs(self.location), abs(self.dispersion)
        if max(location, dispersion) ** 2 < _NOTABLE:
            return "not uniform"
        if location > _ONE_SIDED * dispersion:
            return "too small" if self.location > 0 else "too large"
        return "too narrow" if self.dispersion > 0 else "too wide"


_NOTABLE = 6.6
"""The square that a component exceeds with probability .01."""
_ONE_SIDED = 0.6
"""Ranks at one end alone have a location of 0.75 to 0.9 times their dispersion."""


def ranks(
    truth: Float[Tensor, "n *any"], draws: Float[Tensor, "*n_draws_any"], seed: int = 0
) -> Int64[Tensor, "n *any"]:
    """How many of its draws are below each truth; among equal ones the place is random.

    Args:
        truth: f(x_i, y_i), one number or several per item.
        draws: f(x_ij, y_i).
        seed: seed of the places among equal numbers.

    Returns:
        From 0 to the number of draws.

    Raises:
        ValueError: for no draws, other shapes, and numbers that are not finite.
    """
    _check(truth, draws)
    below = (draws < truth[:, None]).sum(1)
    equal = (draws == truth[:, None]).sum(1)

    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(equal.shape, generator=generator, dtype=torch.float64).to(equal.device)
    return below + (place * (equal + 1)).floor().long()


def _check(truth: Tensor, draws: Tensor) -> None:
    """ValueError for what has no ranks."""
    expected = (len(truth), draws.shape[1] if draws.ndim > 1 else 0, *truth.shape[1:])
    if tuple(draws.shape) != expected or expected[1] < 1:
        raise ValueError(
            f"draws: shape {tuple(draws.shape)} for truth {tuple(truth.shape)}; give (items, "
            "draws, ...), with at least one draw"
        )
    if not bool(truth.isfinite().all() and draws.isfinite().all()):
        raise ValueError("truth, draws: hold NaN or infinite numbers; give finite ones")


def rank_test(name: str, found: Int64[Tensor, " n"], draws: int) -> RankTest:
    """The test of uniformity of ranks on 0..draws.

    Args:
        name: the function whose ranks they are.
        found: a rank per item.
        draws: the number of draws per item.

    Raises:
        ValueError: for fewer than two items.
    """
    if len(found) < 2:
        raise ValueError(f"ranks: {len(found)} items; a test needs several, give more")
    h = _polynomials(draws + 1, min(_COMPONENTS, draws))
    components = h[found.cpu()].sum(0) / math.sqrt(len(found))

    statistic = float(components.square().sum())
    location, dispersion = [*components.tolist(), 0.0][:2]
    counts = torch.bincount(found.cpu(), minlength=draws + 1)
    return RankTest(
        name, tuple(counts.tolist()), location, dispersion, chi_square_p(statistic, h.shape[1])
    )


def _polynomials(count: int, degree: int) -> Float[Tensor, "count degree"]:
    """h_1, ..., h_degree at 0..count-1: orthonormal under the uniform distribution, and to 1."""
    place = torch.linspace(-1, 1, count, dtype=torch.float64)
    powers = place[:, None] ** torch.arange(degree + 1, dtype=torch.float64)
    basis, triangle = torch.linalg.qr(powers)
    found: Tensor = (basis * triangle.diagonal().sign())[:, 1:] * math.sqrt(count)
    return found
