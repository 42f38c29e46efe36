r"""P-values of several tests at once.

    chi-square    P(X >= x) = Q(k/2, x/2), the regularised upper incomplete gamma function
    normal        P(|Z| >= |z|) = erfc(|z| / sqrt 2)
    Holm          of m p-values p_(1) <= ... <= p_(m), the i-th becomes
                  max_{j <= i} min(1, (m - j + 1) p_(j))      (Holm 1979)

Rejecting what Holm's adjusted p-value puts at most at a level rejects no true hypothesis with a
probability of at least 1 - level, however the tests depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def chi_square_p(statistic: float, freedom: int) -> float:
    """The probability that a chi-square number is at least this large.

    Args:
        statistic: the number, 0 or more.
        freedom: its degrees of freedom.
    """
    half = torch.tensor([freedom / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def normal_p(z: float) -> float:
    """The probability that a standard normal number is at least as far from 0 as `z`."""
    return math.erfc(abs(z) / math.sqrt(2))


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """P-values of several tests, adjusted for their number (Holm 1979).

    Args:
        p: a p-value per test.

    Returns:
        The adjusted ones, in the same order.
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for done, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - done) * p[place]))
        adjusted[place] = largest

    return tuple(adjusted)
