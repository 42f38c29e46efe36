r"""PSNR of an estimate of an item, and the energy score of draws of it, given the item itself.

    PSNR = 10 log10( range^2 / mean (estimate - truth)^2 )                       in decibels

    ES   = mean_j |x_j - truth|  -  1/2 mean_{j != k} |x_j - x_k|                in the data's unit

The energy score (Gneiting & Raftery 2007, eq. 22) of m draws of an item, with the unbiased mean
over pairs, is strictly proper: its expectation is lowest for draws of p(item | what is known). An
estimate that is best in PSNR is the mean of that distribution.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor


def psnr(
    estimate: Shaped[Tensor, "n *shape"], truth: Shaped[Tensor, "k *other"], width: float
) -> Float64[Tensor, " n"]:
    """Peak signal-to-noise ratio of each item, in decibels.

    Args:
        estimate: of each item.
        truth: the items.
        width: of the range of the data, such as 255.

    Raises:
        ValueError: for estimates of another shape, and a width that is not positive.
    """
    _check(estimate, truth)
    if not 0 < width < math.inf:
        raise ValueError(f"width={width}: give the range of the data, such as 255")
    squared = (estimate.double() - truth.double()).flatten(1).square().mean(1)
    found: Tensor = 10 * (width * width / squared).log10()
    return found


def energy_score(
    draws: Shaped[Tensor, "n m *shape"], truth: Shaped[Tensor, "k *other"]
) -> Float64[Tensor, " n"]:
    """The energy score of the draws of each item, in the unit of the data; lower is better.

    Args:
        draws: m of each item.
        truth: the items.

    Raises:
        ValueError: for draws of another shape, and fewer than two.
    """
    _check(draws[:, 0], truth)
    m = draws.shape[1]
    if m < 2:
        raise ValueError(f"draws: {m} of each item; give two or more")

    x = draws.double().flatten(2)
    distance = (x - truth.double().flatten(1)[:, None]).norm(dim=2).mean(1)
    pairs = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sum((1, 2))
    score: Tensor = distance - pairs / (2 * m * (m - 1))
    return score


def _check(x: Tensor, truth: Tensor) -> None:
    if x.shape != truth.shape:
        raise ValueError(
            f"truth: items of shape {tuple(truth.shape)} for estimates {tuple(x.shape)}; give "
            "those of the same items"
        )
