r"""Levels and step of annealed Langevin dynamics (NCSNv2, Song & Ermon 2020).

    technique 1   the largest sigma is the largest distance between two items of the data
    technique 2   levels sigma_{i-1} = gamma sigma_i overlap: norms of N(0, sigma^2 I) in D
                  dimensions are about N(sigma sqrt(D), sigma^2/2), and gamma is such that
                  Phi(sqrt(2D)(gamma - 1) + 3 gamma) - Phi(sqrt(2D)(gamma - 1) - 3 gamma) = 1/2
    technique 4   step = epsilon/sigma_L^2 makes T steps at sigma_i end with variance sigma_i^2
                  when they begin with that of sigma_{i-1}: with a = 1 - step,
                  a^{2T} (gamma^2 - 2 step/(1 - a^2)) + 2 step/(1 - a^2)   is as near to 1 as can be

(Technique 3, a network f(x)/sigma, is the target `eps` here, and 5, a moving average of weights, is
`training.EMA`.) The last line is the exact variance of Langevin's steps on the score -x/sigma^2, in
units of sigma_i^2.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ...process.schedule import Geometric

_ROWS_AT_ONCE = 1000
_FEWEST_DIMENSIONS = 5


def largest_distance(x: Float[Tensor, "n *shape"]) -> float:
    """max |x_i - x_j| over all pairs of items of x (Song & Ermon 2020, technique 1)."""
    if len(x) < 2:
        raise ValueError(f"x: {len(x)} items; a distance needs at least two")
    flat = x.flatten(1)
    return max(torch.cdist(part, flat).max().item() for part in flat.split(_ROWS_AT_ONCE))


def level_ratio(dims: int) -> float:
    """gamma, the ratio of levels that overlap by half in `dims` dimensions (technique 2).

    ValueError for fewer than five dimensions: three deviations of a norm reach 0 there, and
    all levels overlap.
    """
    if dims < _FEWEST_DIMENSIONS:
        raise ValueError(
            f"dims={dims}; levels overlap by half or more at any ratio in fewer than "
            f"{_FEWEST_DIMENSIONS} dimensions, so choose their number yourself, e.g. 10 to 40"
        )

    low = 1.0
    high = 1e3  # the overlap falls with gamma, from nearly 1 to less than 1/2
    for _ in range(200):
        middle = math.sqrt(low * high)
        if overlap(middle, dims) > 0.5:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def overlap(gamma: float, dims: int) -> float:
    """P(a norm is within 3 deviations of that at gamma times the level, in `dims` dimensions)."""
    ahead = math.sqrt(2 * dims) * (gamma - 1)
    return _normal(ahead + 3 * gamma) - _normal(ahead - 3 * gamma)


def level_count(sigma_min: float, sigma_max: float, dims: int) -> int:
    """How many levels from sigma_max to sigma_min overlap by half or more in `dims` dimensions."""
    Geometric(sigma_min, sigma_max)  # says what is wrong with them
    return math.ceil(math.log(sigma_max / sigma_min) / math.log(level_ratio(dims))) + 1


def step_size(count: int, gamma: float) -> float:
    """epsilon/sigma_L^2 (technique 4): the step whose variance is nearest to sigma^2.

    Args:
        count: steps per level.
        gamma: the ratio of neighbouring levels.
    """
    if count < 1 or not gamma > 1:
        raise ValueError(
            f"count={count}, gamma={gamma}; give at least 1 step, and a ratio of levels above 1"
        )
    steps = torch.linspace(math.log(1e-8), math.log(0.999), 200_001, dtype=torch.float64).exp()
    return steps[(variance_after(steps, count, gamma) - 1).abs().argmin()].item()


def variance_after(step: Tensor, count: int, gamma: float) -> Tensor:
    """The variance after `count` times a step, from gamma^2 on, in units of sigma^2."""
    decay = (1 - step) ** (2 * count)
    own = 2 * step / (1 - (1 - step).square())
    return decay * (gamma * gamma - own) + own


def _normal(z: float) -> float:
    """Phi(z)."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
