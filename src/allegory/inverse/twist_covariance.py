r"""Gaussian densities of y whose covariance is std_y^2 + A C A^T.

Of each item, the numbers that it has measured count; a covariance is made for those that any item
of the batch has measured.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .derivatives import Linearised
from .likelihoods import GaussianNoise
from .measurement import Measurement
from .operators.base import LinearOperator

PROBES = 16
"""The number of random vectors of an estimate of row norms."""


def observed_numbers(measurement: Measurement) -> Bool[Tensor, "b m"]:
    """Which numbers of each measurement were measured at all."""
    count = math.prod(measurement.operator.measured_shape)
    known = measurement.observed
    if known is None:
        return torch.ones(len(measurement), count, dtype=torch.bool, device=measurement.y.device)
    shaped = known.to(measurement.y.device).expand(measurement.y.shape)
    return shaped.flatten(1)


def used_numbers(observed: Bool[Tensor, "b m"]) -> Bool[Tensor, " m"]:
    """Those `observed` of any item; the first, where nothing is of any."""
    used = observed.any(0)
    used[0] |= ~used.any()
    return used


def adjoints(operator: LinearOperator, observed: Bool[Tensor, "b m"], like: Tensor) -> list[Tensor]:
    """A^T e_j for each number that any item has measured.

    Args:
        operator: A.
        observed: which numbers of each measurement were measured.
        like: gives dtype and device.
    """
    found = []
    for j in used_numbers(observed).nonzero()[:, 0].tolist():
        one = torch.zeros(observed.shape, dtype=like.dtype, device=like.device)
        one[:, j] = observed[:, j].to(one)

        found.append(operator.adjoint(one.reshape(-1, *operator.measured_shape)))
    return found


def seen(operator: LinearOperator, x: Tensor, observed: Tensor) -> Float[Tensor, "b c"]:
    """A x, of the numbers that any item has measured.

    Args:
        operator: A.
        x: items.
        observed: which numbers of each measurement were measured.
    """
    return operator(x).flatten(1)[:, used_numbers(observed)]


def symmetric(covariance: Float[Tensor, "b c c"], observed: Bool[Tensor, "b m"]) -> Tensor:
    """The symmetric part of a `covariance`, and 0 for numbers that are not observed."""
    known = observed[:, used_numbers(observed)].to(covariance)
    return (covariance + covariance.mT) / 2 * known[:, :, None] * known[:, None]


def row_norms(operator: LinearOperator, like: Float[Tensor, "b *shape"]) -> Float[Tensor, "b m"]:
    """The diagonal of A A^T, by random signs, which are the same for every item.

    Args:
        operator: A.
        like: a batch of items.
    """
    generator = torch.Generator().manual_seed(0)

    total: Tensor | float = 0.0
    for _ in range(PROBES):
        signs = torch.randint(0, 2, like.shape[1:], generator=generator).to(like) * 2 - 1
        total = total + operator(signs.expand(like.shape)).square()
    assert isinstance(total, Tensor)
    return total.flatten(1) / PROBES


def gaussian_twist(
    measurement: Measurement, found: Linearised, covariance: Tensor
) -> tuple[Float[Tensor, " b"], Float[Tensor, "b c"]]:
    """log N(y; A x0hat, std_y^2 + covariance), and its covariance^-1 (y - A x0hat).

    A matrix (b, c, c), for the numbers that any item has measured, is first scaled by std_y; its
    eigenvalues below 0, which a network's J may have, become 0. Otherwise it is a diagonal (b, m).

    Args:
        measurement: one per item.
        found: the prediction at x_t.
        covariance: A C A^T.

    Raises:
        ValueError: for noise of another kind, and without noise.
    """
    observed = observed_numbers(measurement)
    residual = measurement.residual(found.prediction.x0).flatten(1)
    noise = _density_variance(measurement, residual)
    if covariance.ndim == 3:
        used = used_numbers(observed)
        observed, residual, noise = observed[:, used], residual[:, used], noise[:, used]

    known, std = observed.to(residual), noise.sqrt()
    scaled = known * residual / std
    if covariance.ndim == 2:
        total = 1 + covariance.clamp(min=0) / noise
        solved, log_det = scaled / total, (known * total.log()).sum(1)
    else:
        solved, log_det = _solve(covariance / std[:, :, None] / std[:, None], scaled)

    quadratic = (scaled * solved).sum(1)
    norm = (known * (2 * math.pi * noise).log()).sum(1)
    return -0.5 * (quadratic + log_det + norm), solved / std


def _density_variance(measurement: Measurement, like: Tensor) -> Float[Tensor, "b m"]:
    """The variance of each number of y, 1 where it was not measured, in the precision of `like`."""
    _ = measurement.variance  # refuses noise of another kind
    likelihood = measurement.likelihood
    assert isinstance(likelihood, GaussianNoise)
    variance = likelihood.density_variance(measurement.y, measurement.observed)
    return variance.to(like).expand(measurement.y.shape).flatten(1)


def _solve(matrix: Float[Tensor, "b c c"], b: Float[Tensor, "b c"]) -> tuple[Tensor, Tensor]:
    """(I + matrix)^-1 b and the log-determinant, with eigenvalues of the matrix of 0 at least."""
    if matrix.shape[1] == 1:
        total = 1 + matrix[:, 0].clamp(min=0)
        return b / total, total.log()[:, 0]

    values, axes = torch.linalg.eigh(matrix)
    total = 1 + values.clamp(min=0)
    rotated = torch.einsum("bc,bce->be", b, axes) / total
    return torch.einsum("be,bce->bc", rotated, axes), total.log().sum(1)
