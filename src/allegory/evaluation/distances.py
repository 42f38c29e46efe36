r"""Distances between two sets of items: how far samples are from data.

Fréchet, between the Gaussians N(m, C) with the moments of each set (Heusel et al. 2017):

    |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^{1/2}

With centred items stacked as rows, C = X^T X / (n - 1) and X = Q R. The eigenvalues of C_a C_b are
the squared singular values of R_a R_b^T / sqrt((n_a - 1)(n_b - 1)), so the last trace is a sum of
singular values: no matrix root, no complex numbers, and a singular covariance does no harm.

Sliced Wasserstein, over lines through the origin of random direction u (Bonneel et al. 2015):

    ( E_u int_0^1 |F_a^{-1}(p; u) - F_b^{-1}(p; u)|^q dp )^{1/q}

with F^{-1} the quantiles of the projections on u. It sees every moment, the Fréchet distance the
first two. Both are biased upwards for finite sets; compare with the distance between two sets of
real items of the same sizes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor


def frechet(a: Shaped[Tensor, "n *shape"], b: Shaped[Tensor, "m *other"]) -> float:
    """Squared Fréchet distance between the Gaussian fits of two sets, in squared units.

    Args:
        a: items of one set.
        b: items of the other set, of the same shape.

    Raises:
        ValueError: for fewer than two items in a set, which have no covariance, or items of
            different shapes.
    """
    x, y = _flat(a, b, least=2)
    gap = (x.mean(0) - y.mean(0)).square().sum()
    (root_x, variance_x), (root_y, variance_y) = _root(x), _root(y)
    shared = torch.linalg.svdvals(root_x @ root_y.mT).sum()
    # The difference of nearly equal numbers may fall below zero by rounding alone.
    return max(0.0, float(gap + variance_x + variance_y - 2 * shared))


def _root(x: Float64[Tensor, "n d"]) -> tuple[Float64[Tensor, "r d"], Float64[Tensor, ""]]:
    """R with R^T R = the covariance, and its trace."""
    centred = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    return torch.linalg.qr(centred, mode="r").R, centred.square().sum()


def sliced_wasserstein(
    a: Shaped[Tensor, "n *shape"],
    b: Shaped[Tensor, "m *other"],
    seed: int,
    projections: int = 256,
    order: int = 2,
) -> float:
    """Sliced Wasserstein distance between two sets of any sizes, in units of the items.

    Args:
        a: items of one set.
        b: items of the other set, of the same shape.
        seed: seed of the directions.
        projections: number of directions.
        order: q, 1 or more.

    Raises:
        ValueError: for an empty set, items of different shapes, no projections, or an order below
            1.
    """
    for name, given in (("projections", projections), ("order", order)):
        if given < 1:
            raise ValueError(f"{name}={given}; give at least 1")

    x, y = _flat(a, b, least=1)
    generator = torch.Generator().manual_seed(seed)
    lines = torch.randn(x.shape[1], projections, generator=generator, dtype=torch.float64)
    lines = lines / lines.norm(dim=0)
    widths, gap = _quantile_gaps(x @ lines, y @ lines)

    cost = float((widths[:, None] * gap.abs() ** order).sum() / projections)
    return float(cost ** (1 / order))


def wasserstein_1(a: Float64[Tensor, "n k"], b: Float64[Tensor, "m k"]) -> Float64[Tensor, " k"]:
    """The Wasserstein-1 distance int_0^1 |F_a^{-1}(p) - F_b^{-1}(p)| dp of numbers, by column.

    Args:
        a: numbers of one set.
        b: numbers of the other set.
    """
    widths, gap = _quantile_gaps(a, b)
    return (widths[:, None] * gap.abs()).sum(0)


def _quantile_gaps(
    x: Float64[Tensor, "n k"], y: Float64[Tensor, "m k"]
) -> tuple[Float64[Tensor, " q"], Float64[Tensor, "q k"]]:
    """Intervals of probability, and the difference of the quantiles in each of them.

    Both quantile functions are steps, constant between neighbouring edges of either set.
    """
    edges = (
        torch.cat([_edges(len(x)), _edges(len(y)), torch.zeros(1, dtype=torch.float64)])
        .sort()
        .values
    )
    widths, middles = edges.diff(), (edges[1:] + edges[:-1]) / 2
    return widths, _quantiles(x, middles) - _quantiles(y, middles)


def _edges(count: int) -> Float64[Tensor, " n"]:
    return torch.arange(1, count + 1, dtype=torch.float64) / count


def _quantiles(x: Float64[Tensor, "n k"], p: Float64[Tensor, " q"]) -> Float64[Tensor, "q k"]:
    return x.sort(0).values[(p * len(x)).long().clamp(max=len(x) - 1)]


def _flat(
    a: Tensor, b: Tensor, least: int
) -> tuple[Float64[Tensor, "n d"], Float64[Tensor, "m d"]]:
    if min(len(a), len(b)) < least:
        raise ValueError(f"a, b: {len(a)} and {len(b)} items; give at least {least} in each set")
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"a, b: items of shape {tuple(a.shape[1:])} and {tuple(b.shape[1:])}; give items of "
            "one shape"
        )

    return a.flatten(1).double().cpu(), b.flatten(1).double().cpu()
