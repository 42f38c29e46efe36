r"""Coverage: how often regions of a given credibility hold the truth.

A rank r of 0..L, with L draws, is the interval [r, r + 1] / (L + 1) of a number that is uniform on
[0, 1] under the exact posterior. A region [a, b] of that number covers an item by the fraction

    c_i = (L + 1) |[r_i, r_i + 1] / (L + 1)  intersected with  [a, b]|,       E c_i = b - a

which is exact for any number of draws, and needs no rounding of 90 % to so many of 15.

    central intervals   of each number of an item, [(1 - p) / 2, (1 + p) / 2]
    TARP                balls around a reference point r_i that the truth lies in, [0, p], by the
                        ranks of the distances |x - r_i|     (Lemos et al. 2023)

The distances of TARP are of numbers that are divided by their standard deviations: those of the
truth, the draws and the reference points alike. The reference points are other draws from the
prior, so that the ranks of a method that draws from the prior and ignores y are uniform as well:
TARP does not see it, and a function of x and y does (`quantities`).

Numbers that hardly vary, such as the border of pictures of digits, would take all of these
distances by differences that nobody sees: no standard deviation is taken to be below a tenth of the
largest, and intervals are those of the numbers above it. Both are chosen by the reference points
alone, which leaves the tests exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ...process.bound import Estimate, estimate
from .ranks import ranks
from .significance import normal_p

_VARIES = 0.1
"""Of the largest standard deviation; numbers below it hardly vary."""
CREDIBILITIES = (0.5, 0.8, 0.9, 0.95)
"""The credibilities at which coverage is reported."""


@dataclass(frozen=True)
class Coverage:
    """The coverage of regions of one credibility.

    Args:
        level: the credibility, which exact regions cover.
        mean: the coverage.
        error: its standard error.
    """

    level: float
    mean: float
    error: float

    @property
    def p(self) -> float:
        """The p-value of mean = level, two-sided."""
        gap = self.mean - self.level
        return 1.0 if gap == 0 else normal_p(gap / max(self.error, 1e-300))


def covered(
    found: Int64[Tensor, "n *any"], draws: int, region: tuple[float, float]
) -> Float[Tensor, "n *any"]:
    """The fraction of the cell of each rank that lies in a region; its mean is the coverage.

    Args:
        found: ranks from 0 to `draws`.
        draws: the number of draws per item.
        region: the ends of the region, from 0 to 1.
    """
    low, high = (end * (draws + 1) for end in region)
    start = found.double()
    return ((start + 1).clamp(max=high) - start.clamp(min=low)).clamp(min=0)


def region_coverage(
    found: Int64[Tensor, " n"], draws: int, levels: Sequence[float] = CREDIBILITIES
) -> tuple[Coverage, ...]:
    """The coverage of regions [0, p], one rank per item: TARP's expected coverage.

    Args:
        found: the rank of the truth's distance among those of the draws.
        draws: the number of draws per item.
        levels: the credibilities p.
    """
    return tuple(
        _coverage(level, estimate(covered(found, draws, (0.0, level)))) for level in levels
    )


def interval_coverage(
    truth: Float[Tensor, "n *shape"],
    draws: Float[Tensor, "n draws *shape"],
    level: float = 0.9,
    seed: int = 0,
) -> Coverage:
    """The coverage of the central interval of each number of an item, a mean over its numbers.

    The standard error is that of independent items, whose numbers may depend on each other.

    Args:
        truth: x_i.
        draws: x_ij.
        level: the credibility of the intervals.
        seed: seed of the places among equal numbers.
    """
    found = ranks(truth, draws, seed)
    inside = covered(found, draws.shape[1], ((1 - level) / 2, (1 + level) / 2))
    return _coverage(level, estimate(inside.flatten(1).mean(1)))


def _coverage(level: float, found: Estimate) -> Coverage:
    return Coverage(level, found.mean, found.error)


def tarp_ranks(
    truth: Float[Tensor, "n *shape"],
    draws: Float[Tensor, "n draws *shape"],
    references: Float[Tensor, "*like_truth"],
    seed: int = 0,
) -> Int64[Tensor, " n"]:
    """The rank of |x_i - r_i| among the |x_ij - r_i| (Lemos et al. 2023, algorithm 2).

    Args:
        truth: x_i.
        draws: x_ij.
        references: r_i, drawn from the prior independently of all others; their standard deviations
            are the units of all three.
        seed: seed of the places among equal distances.

    Raises:
        ValueError: for fewer than two items, and reference points of another shape.
    """
    if references.shape != truth.shape or len(truth) < 2:
        raise ValueError(
            f"references: shape {tuple(references.shape)} for truth {tuple(truth.shape)}; give "
            "one reference point per item, and at least two items"
        )
    r = references.flatten(1).double()
    std = r.std(0)
    unit = std.clamp(min=max(_VARIES * float(std.max()), 1e-300))

    near = ((truth.flatten(1).double() - r) / unit).norm(dim=1)
    scaled = (draws.flatten(2).double() - r[:, None]) / unit
    return ranks(near, scaled.norm(dim=2), seed)


def varying(references: Float[Tensor, "n *shape"]) -> Bool[Tensor, "*shape"]:
    """Which numbers of an item vary: those whose standard deviation over `references`, draws from
    the prior, is at least a tenth of the largest.
    """
    std = references.double().std(0)
    found: Tensor = std >= _VARIES * std.max()
    return found
