"""A chain whose reverse model is a denoiser: the library's Mixture of one Gaussian.

The same chain is written in the paper's symbols, for comparison.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.mixture import Mixture
from .cases import Chain, chain
from .dense import LadderLayer

DATA_STD = 0.8


def denoiser(case: Chain) -> Mixture:
    """The exact denoiser of N(0, DATA_STD^2 I) on the path of this case."""
    return Mixture(torch.zeros(1, case.x0.shape[1], dtype=torch.float64), DATA_STD, path=case.path)


def layers(case: Chain, mean: Float[Tensor, " d"], std: float) -> tuple[LadderLayer, ...]:
    """p(x_{t-1} | x_t) for data N(mean, std^2 I), in the paper's symbols.

    For t >= 2 it is (84) at E[x_0 | x_t] = mean + slope (x_t - sqrt(A_t) mean); for t = 1 it is the
    decoder p(x_0 | x_1) = N(x_1 / sqrt(A_1), (1 - A_1)/A_1 I).

    Args:
        case: the chain, for its alpha_t and A_t.
        mean: of the data, (d,).
        std: of the data.
    """
    A = case.A
    found = [LadderLayer(A[1] ** -0.5, torch.zeros_like(mean), math.sqrt((1 - A[1]) / A[1]))]
    for t in range(2, case.steps + 1):
        a, B = case.alpha[t], A[t - 1]
        slope = math.sqrt(A[t]) * std**2 / (A[t] * std**2 + 1 - A[t])
        of_x0 = math.sqrt(B) * (1 - a) / (1 - A[t])
        gain = math.sqrt(a) * (1 - B) / (1 - A[t]) + of_x0 * slope
        shift = of_x0 * mean * (1 - slope * math.sqrt(A[t]))
        found.append(LadderLayer(gain, shift, math.sqrt((1 - a) * (1 - B) / (1 - A[t]))))

    return tuple(found)


def denoised() -> Chain:
    """The chain of `denoiser`, in the paper's symbols."""
    case = chain()
    return replace(case, reverse=layers(case, torch.zeros_like(case.x0[0]), DATA_STD))


def matching_terms(case: Chain) -> list[float]:
    """E KL of eq. 58, t = 2..T of `case`, for `denoiser`: E[x_0 | x_t] = shrink x_t / sqrt(A_t)."""
    squared, dims, A = float(case.x0.square().sum()), case.x0.shape[1], case.A
    terms = []
    for t in range(2, case.steps + 1):
        shrink = A[t] * DATA_STD**2 / (A[t] * DATA_STD**2 + 1 - A[t])
        missed = (1 - shrink) ** 2 * squared + dims * shrink**2 * (1 - A[t]) / A[t]
        terms.append(0.5 * (A[t - 1] / (1 - A[t - 1]) - A[t] / (1 - A[t])) * missed)

    return terms
