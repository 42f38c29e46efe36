r"""Weights of particles, and systematic resampling.

Log-weights stay logarithms: a maximum is subtracted for a normalisation and nowhere else, so that
particles hundreds of nats apart are compared as they are. A weight that is NaN is zero.

Of K particles with normalised weights W_i, the effective number is 1 / sum_i W_i^2. Systematic
resampling takes the ancestors at (u + i)/K of the cumulative weights, with one uniform u, so that
particle i has K W_i descendants in expectation, rounded up or down (Kitagawa 1996).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def log_mean(log_weights: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """log of the mean weight of each population, of `log_weights`."""
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])


def normalised(log_weights: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """The `log_weights`, such that the weights sum to 1 in each population."""
    return log_weights - log_weights.logsumexp(1, keepdim=True)


def effective_size(log_weights: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """The effective number of particles of each population by its `log_weights`, from 1 to K."""
    return (2 * log_weights.logsumexp(1) - (2 * log_weights).logsumexp(1)).exp()


def systematic(
    log_weights: Float[Tensor, "b k"], uniform: Float[Tensor, " b"], count: int | None = None
) -> Int[Tensor, "b n"]:
    """The ancestors of systematic resampling in each population.

    Args:
        log_weights: not necessarily normalised; at least one per population is finite.
        uniform: one number in [0, 1) per population.
        count: how many ancestors; None for as many as there are particles.

    Returns:
        Their indices, in rising order.
    """
    most = log_weights.shape[1] - 1
    count = log_weights.shape[1] if count is None else count
    cumulative = normalised(log_weights.double()).exp().cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]

    steps = torch.arange(count, dtype=torch.float64, device=log_weights.device)
    positions = (steps + uniform.to(steps)[:, None]) / count
    # A position that is rounded up to 1 would be past the last particle with a weight.
    positions = positions.clamp(max=1 - 2**-53)

    return torch.searchsorted(cumulative, positions, right=True).clamp(max=most)


def relative_variance(
    log_weights: Float[Tensor, "b k"], first: Int[Tensor, "b k"]
) -> Float[Tensor, " b"]:
    """The estimated variance of the evidence over its square, from one run.

    With F_e the sum of the normalised weights of all that descend from particle e of the start,

        (K sum_e F_e^2 - 1) / (K - 1)

    (Chan & Lai 2013; Lee & Whiteley 2018, without the correction for independent draws, which
    systematic resampling does not need). When all particles descend from one, it is 1.

    Args:
        log_weights: of the particles at the end.
        first: the index at the start from which each descends.

    Returns:
        One number per population; NaN for one particle, which says nothing of it.
    """
    count = log_weights.shape[1]
    if count == 1:
        return torch.full_like(log_weights[:, 0], math.nan)

    weights = normalised(log_weights).exp()
    families = torch.zeros_like(weights).scatter_add(1, first, weights)
    return ((count * families.square().sum(1) - 1) / (count - 1)).clamp(min=0.0)
