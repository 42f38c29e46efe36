r"""Guidance by the covariance of Tweedie's formula (Boys et al. 2023; Rozet et al. 2024, MMPS).

p(x0 | x_t) is taken to be N(x0hat, C) with its true covariance C = (sigma^2 / alpha) J. Then

    p(y | x_t)               = N(A x0hat, std_y^2 + A C A^T)
    grad log p(y | x_t)      = J^T A^T (std_y^2 + A C A^T)^-1 (y - A x0hat),

up to the derivative of C. It is exact for Gaussian data, of any covariance. The linear equation is
solved by GMRES, one vector-Jacobian product each, until the residual is small; without noise its
solution is that of the pseudo-inverse. A covariance has no negative variance, so that std_y^2 +
A C A^T has none below that of the noise. J of a network may give one at high noise, where sigma^2 /
alpha magnifies its errors: the Krylov space ends before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count, option_whole
from ..numerics.krylov import gmres
from .derivatives import Linearised
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, MeasurementGuide


@dataclass(frozen=True)
class TweedieGuidance:
    """Guidance by the covariance of Tweedie's formula, for linear operators and Gaussian noise.

    Per evaluation it takes one vector-Jacobian product, and one more per Krylov step.

    Args:
        tolerance: the relative residual at which the solution of the linear equation stops.
        most: the largest number of Krylov steps; None for as many as a measurement has numbers.

    Raises:
        ValueError: for a tolerance that is not between 0 and 1.
    """

    tolerance: float = 1e-3
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance}; give a number between 0 and 1")
        if self.most is not None:
            check_count("most", self.most, 1, 1_000_000)

    def __str__(self) -> str:
        return f"mmps:{self.tolerance:g}"

    def guide(self, measurement: Measurement) -> MeasurementGuide:
        """The guide for items of these measurements."""
        measurement.check()
        return MeasurementGuide(measurement, self)

    def likelihood_score(
        self, measurement: Measurement, found: Linearised
    ) -> Float[Tensor, "b *shape"]:
        """J^T A^T (std_y^2 + A C A^T)^-1 (y - A x0hat).

        Args:
            measurement: one per item.
            found: the prediction with its derivative.
        """
        residual = measurement.residual(found.prediction.x0)
        solved = solved_by_covariance(measurement, found, residual, self.tolerance, self.most)
        return found.vjp(measurement.linear.adjoint(solved))


def solved_by_covariance(
    measurement: Measurement,
    found: Linearised,
    residual: Float[Tensor, "b *measured"],
    tolerance: float,
    most: int | None,
) -> Float[Tensor, "b *measured"]:
    """(std_y^2 + A C A^T)^-1 residual, in the Krylov space of directions with a variance of at
    least that of the noise.

    Args:
        measurement: one per item.
        found: the prediction with its derivative.
        residual: the right-hand side.
        tolerance: the relative residual at which the solution stops.
        most: the largest number of Krylov steps; None for as many as a measurement has numbers.
    """
    operator, variance = measurement.linear, measurement.variance.to(residual)

    def product(v: Tensor) -> Tensor:
        return variance * v + operator(found.covariance(operator.adjoint(v)))

    least = variance.expand_as(residual).flatten(1).amin(1)
    return gmres(product, residual, tolerance=tolerance, most=most, least=least).x


POSTERIOR_METHODS.register(
    "mmps",
    TweedieGuidance(),
    "guidance by the covariance of Tweedie's formula; exact for Gaussian data (Rozet et al. 2024)",
    make=lambda tolerance, most=None: TweedieGuidance(
        tolerance,
        None if most is None else option_whole("most", most, "the largest number of Krylov steps"),
    ),
    parameter="tolerance, the relative residual of the linear equation",
    options={"most": "the largest number of Krylov steps"},
)
