r"""Kernel Stein discrepancy of posterior draws, from the score of the posterior alone.

With the score s(x) = grad log p(x | y), an inverse multiquadric kernel k(x, x') = b^{-1/2},
b = 1 + |x - x'|^2 / l^2, and r = x - x' (Gorham & Mackey 2017),

    h(x, x') = s.s' k + s.grad' k + s'.grad k + tr grad grad' k
             = s.s' b^{-1/2} + ((s - s').r + d) b^{-3/2} / l^2 - 3 |r|^2 b^{-5/2} / l^4

has the mean 0 in either argument where x ~ p(. | y), and a positive mean over independent x, x' of
any other distribution. The discrepancy is its U-statistic, the mean over pairs of different draws
of an item, and then over items (Liu et al. 2016; Chwialkowski et al. 2016).

Under the exact posterior the U-statistic is degenerate. The p-value is that of a wild bootstrap for
independent draws: h(x_j, x_k) becomes e_j e_k h(x_j, x_k) with random signs e (Chwialkowski et al.
2016, section 4). It is the fraction of statistics at least as large, the observed one among them.

A smooth kernel sees little of a wrong scale in many dimensions. Stein's identity for it does:

    E[(x - c).s(x)] = -d   for any c,   so that   1 + (s - s').(x - x') / 2d   has the mean 0

over independent x, x' of an item. Of draws with r times the right standard deviation of a Gaussian
posterior the mean is 1 - r^2: positive where draws are too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...lookup import check_count
from ...process.bound import Estimate, estimate
from .significance import normal_p

RESAMPLES = 4999
"""Signs that are drawn for a p-value; the smallest one is 1 / (RESAMPLES + 1)."""
_BATCH = 250
"""Resamples that are computed at once."""


@dataclass(frozen=True)
class SteinTest:
    """A kernel Stein discrepancy with its test.

    Args:
        discrepancy: the squared discrepancy, a mean over items; 0 in expectation under the exact
            posterior, and it may be negative.
        error: its standard error.
        length: the length scale of the kernel.
        p: its p-value.
        scale: 1 + E[(x - c).s(x)] / d, 0 under the exact posterior; above 0 where draws are too
            narrow.
    """

    discrepancy: float
    error: float
    length: float
    p: float
    scale: Estimate

    @property
    def scale_p(self) -> float:
        """The p-value of scale = 0, two-sided, for many items."""
        return normal_p(self.scale.mean / max(self.scale.error, 1e-300))


def stein_kernel(
    x: Float[Tensor, "n draws d"], score: Float[Tensor, "*like_x"], length: float
) -> Float[Tensor, "n draws draws"]:
    """h(x_j, x_k) of all pairs of draws of each item, float64.

    Args:
        x: flat draws.
        score: grad log p(x | y) at each.
        length: the length scale l.

    Raises:
        ValueError: for other shapes, a length that is not positive, and numbers that are not
            finite.
    """
    if x.shape != score.shape or x.ndim != 3:
        raise ValueError(
            f"score: shape {tuple(score.shape)} for x {tuple(x.shape)}; give (items, draws, d) both"
        )
    if not length > 0:
        raise ValueError(f"length={length}; give a positive number")
    if not bool(x.isfinite().all() and score.isfinite().all()):
        raise ValueError("x, score: hold NaN or infinite numbers; give finite ones")

    x, s = x.double() - x.double().mean(1, keepdim=True), score.double()
    squared = pair_distances_squared(x)
    own = (s * x).sum(2)
    cross = s @ x.mT
    pull = own[:, :, None] + own[:, None, :] - cross - cross.mT  # (s - s').(x - x')

    b = 1 + squared / length**2
    first = (s @ s.mT) * b**-0.5
    second = (pull + x.shape[2]) * b**-1.5 / length**2
    return first + second - 3 * squared * b**-2.5 / length**4


def pair_distances_squared(x: Float[Tensor, "n draws d"]) -> Float[Tensor, "n draws draws"]:
    """|x_j - x_k|^2 of the draws x of each item."""
    norms = x.square().sum(2)
    return (norms[:, :, None] + norms[:, None, :] - 2 * x @ x.mT).clamp(min=0)


def median_length(x: Float[Tensor, "n draws d"]) -> float:
    """The median distance of two draws of an item, the usual length scale.

    Args:
        x: flat draws, (items, draws, d), at least two of each item.

    Raises:
        ValueError: for draws that are all the same.
    """
    count = x.shape[1]
    upper = torch.triu_indices(count, count, 1)
    centred = x.double() - x.double().mean(1, keepdim=True)
    found = float(pair_distances_squared(centred)[:, upper[0], upper[1]].sqrt().median())
    if not found > 0:
        raise ValueError("x: the draws of an item are all the same; draw from separate populations")
    return found


def stein_test(
    x: Float[Tensor, "n draws *shape"],
    score: Float[Tensor, "*like_x"],
    *,
    length: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> SteinTest:
    """The kernel Stein discrepancy of independent draws, and its wild bootstrap.

    Args:
        x: draws, several of each item.
        score: grad log p(x | y) at each, of the item's posterior.
        length: the length scale of the kernel; None for the median distance of two draws of an
            item.
        seed: seed of the signs.
        resamples: the number of draws of the signs.

    Raises:
        ValueError: for fewer than two items or draws of an item, other shapes, and fewer than 1
            resample.
    """
    check_count("resamples", resamples, 1, 10**7)
    if x.ndim < 3 or len(x) < 2 or x.shape[1] < 2:
        raise ValueError(
            f"x: shape {tuple(x.shape)}; give (items, draws, *shape), at least two of both"
        )
    flat, s = x.flatten(2), score.flatten(2)
    scale = median_length(flat) if length is None else length

    h = stein_kernel(flat, s, scale)
    h = h - torch.diag_embed(h.diagonal(dim1=1, dim2=2))
    pairs = x.shape[1] * (x.shape[1] - 1)
    per_item = h.sum((1, 2)) / pairs

    resampled = _resampled(h, seed, resamples) / (pairs * len(h))
    above = int((resampled >= per_item.mean()).sum())
    found = estimate(per_item)
    p = (1 + above) / (1 + resamples)
    return SteinTest(found.mean, found.error, scale, p, estimate(_scale(flat, s)))


def _scale(x: Float[Tensor, "n draws d"], score: Float[Tensor, "n draws d"]) -> Tensor:
    """1 + the mean of (s - s').(x - x') / 2d over the pairs of draws of each item."""
    x, s = x.double(), score.double()
    centred = x - x.mean(1, keepdim=True)  # the sum over pairs is that of (x - mean).s, times L
    return 1 + (centred * s).sum((1, 2)) / ((x.shape[1] - 1) * x.shape[2])


def _resampled(
    h: Float[Tensor, "n draws draws"], seed: int, resamples: int
) -> Float[Tensor, " resamples"]:
    """The sums over all items and pairs of e_j e_k h_jk."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, resamples, _BATCH):
        count = min(_BATCH, resamples - start)
        shape = (len(h), count, h.shape[1])
        signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8).to(h) * 2 - 1
        parts.append(((signs @ h) * signs).sum((0, 2)))

    return torch.cat(parts)
