r"""Twisting functions: approximations of p(y | x_t) that guide particles (Wu et al. 2023).

    TweedieTwist       N(y; A x0hat, std_y^2 + A C A^T)    C = (sigma^2/alpha) J (Tweedie)
    IsotropicTwist     N(y; A x0hat, std_y^2 + r^2 A A^T)  r^2 = sigma^2 s^2/(alpha^2 s^2 + sigma^2)
    LikelihoodTwist    p(y | x0hat)                        any differentiable likelihood

The first is exact for Gaussian data, the second for N(m, s^2 I). The gradient holds the covariance
constant. Any positive function is a twist: the weights of the particles make up for what it lacks,
and at the clean end it is replaced by p(y | x0) itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..lookup import pick
from .derivatives import Linearised
from .likelihoods import GaussianNoise
from .measurement import Measurement
from .operators.base import LinearOperator
from .pseudo_inverse import PseudoInverseGuidance
from .twist_covariance import (
    adjoints,
    gaussian_twist,
    observed_numbers,
    row_norms,
    seen,
    symmetric,
)

MOST_NUMBERS = 64
"""Up to so many measured numbers per item, covariances of y are whole matrices."""


@runtime_checkable
class Twist(Protocol):
    """An approximation of log p(y | x_t), with its gradient."""

    def __call__(
        self, measurement: Measurement, found: Linearised, /
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b *shape"]]:
        """The value in nats per item, and the gradient in x_t.

        Args:
            measurement: one per item.
            found: the prediction at x_t with its derivative.
        """
        ...


@dataclass(frozen=True)
class LikelihoodTwist:
    """log p(y | x0hat), for any differentiable operator and likelihood.

    It takes one vector-Jacobian product per evaluation.
    """

    def __call__(
        self, measurement: Measurement, found: Linearised
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b *shape"]]:
        """The value in nats per item, and the gradient in x_t.

        Args:
            measurement: one per item.
            found: the prediction at x_t with its derivative.
        """
        value = measurement.log_likelihood(found.prediction.x0)
        return value, found.gradient(measurement.log_likelihood)


@dataclass(frozen=True)
class TweedieTwist:
    """log N(y; A x0hat, std_y^2 + A C A^T), for linear operators and Gaussian noise.

    It takes one vector-Jacobian product per measured number and evaluation.
    """

    def __call__(
        self, measurement: Measurement, found: Linearised
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b *shape"]]:
        """The value in nats per item, and the gradient in x_t.

        Args:
            measurement: one per item.
            found: the prediction at x_t with its derivative.

        Raises:
            ValueError: for more than 64 measured numbers.
        """
        operator, observed = measurement.linear, observed_numbers(measurement)
        _check_numbers(observed)
        level = found.level
        scale = level.sigma * (level.sigma / level.alpha)

        # Row j of A J is J^T A^T e_j for a symmetric J.
        rows = [found.vjp(back) for back in adjoints(operator, observed, found.x0)]
        covariance = torch.stack([seen(operator, scale * row, observed) for row in rows], 2)

        value, solved = gaussian_twist(measurement, found, symmetric(covariance, observed))
        slope = sum(row * _like(solved[:, j], row) for j, row in enumerate(rows))
        assert isinstance(slope, Tensor), "a measurement has at least one number"
        return value, slope


@dataclass(frozen=True)
class IsotropicTwist:
    """log N(y; A x0hat, std_y^2 + r^2 A A^T), for linear operators and Gaussian noise.

    It takes one vector-Jacobian product per evaluation. Above 64 measured numbers, A A^T is
    replaced by an estimate of its diagonal.

    Args:
        data_std: s, the standard deviation of a number of an item in model space.
    """

    data_std: float = 1.0

    def __post_init__(self) -> None:
        PseudoInverseGuidance(self.data_std)  # refuses what is no standard deviation

    def __call__(
        self, measurement: Measurement, found: Linearised
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b *shape"]]:
        """The value in nats per item, and the gradient in x_t.

        Args:
            measurement: one per item.
            found: the prediction at x_t with its derivative.
        """
        operator, observed = measurement.linear, observed_numbers(measurement)
        r2 = PseudoInverseGuidance(self.data_std).variance(found.level).to(found.prediction.x0)

        if int(observed.any(0).sum()) <= MOST_NUMBERS:
            backs = adjoints(operator, observed, r2)
            rows = [seen(operator, r2 * back, observed) for back in backs]
            covariance = symmetric(torch.stack(rows, 2), observed)
        else:
            covariance = r2 * row_norms(operator, found.prediction.x0)

        value, solved = gaussian_twist(measurement, found, covariance)
        back = torch.zeros(observed.shape, dtype=solved.dtype, device=solved.device)
        used = observed.any(0) if covariance.ndim == 3 else torch.ones_like(observed[0])
        back[:, used] = solved
        shaped = back.reshape(-1, *operator.measured_shape)
        return value, found.vjp(operator.adjoint(shaped))


def twist_named(twist: str | Twist, measurement: Measurement) -> Twist:
    """The twist of this name for a measurement.

    Args:
        twist: "tweedie", "isotropic", "likelihood", or "auto", which is the first of them that the
            measurement allows; a Twist is returned as it is.
        measurement: what it is for.

    Raises:
        ValueError: for another name, or a measurement that the twist is not for.
    """
    if not isinstance(twist, str):
        return twist
    pick("twist", twist, dict.fromkeys((*TWISTS, "auto")))
    if twist == "auto":
        gaussian = isinstance(measurement.likelihood, GaussianNoise)
        if not gaussian or not isinstance(measurement.operator, LinearOperator):
            return LikelihoodTwist()
        return TweedieTwist() if _possible(measurement) <= MOST_NUMBERS else IsotropicTwist()

    found = TWISTS[twist]
    if not isinstance(found, LikelihoodTwist):
        measurement.check()
    return found


TWISTS: dict[str, Twist] = {
    "tweedie": TweedieTwist(),
    "isotropic": IsotropicTwist(),
    "likelihood": LikelihoodTwist(),
}
"""The twists by name."""


def _possible(measurement: Measurement) -> int:
    """How many numbers any item of this operator may have measured, whatever the batch holds."""
    observed, measured = measurement.observed, measurement.operator.measured_shape
    if observed is None or observed.ndim > len(measured):
        return math.prod(measured)
    return int(observed.sum())


def _check_numbers(observed: Bool[Tensor, "b m"]) -> None:
    count = int(observed.any(0).sum())
    if count > MOST_NUMBERS:
        raise ValueError(
            f"twist='tweedie': {count} measured numbers per item, more than {MOST_NUMBERS}; take "
            "twist='isotropic'"
        )


def _like(value: Float[Tensor, " b"], x: Tensor) -> Tensor:
    """One number per item, to broadcast against x."""
    return value.reshape(-1, *[1] * (x.ndim - 1))
