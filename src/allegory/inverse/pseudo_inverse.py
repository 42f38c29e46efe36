r"""Pseudo-inverse guidance, PiGDM (Song et al. 2023).

p(x0 | x_t) is taken to be N(x0hat, r^2 I) with

    r^2 = sigma^2 s^2 / (alpha^2 s^2 + sigma^2),

its variance for data N(m, s^2 I), so that

    grad log p(y | x_t) = J^T A^T (std_y^2 + r^2 A A^T)^-1 (y - A x0hat).

It is exact for such data. The paper multiplies the step by r^2, which is no score of a density.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.krylov import gmres
from ..process.path import Level
from .derivatives import Linearised
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, MeasurementGuide

_TOLERANCE = 1e-12


@dataclass(frozen=True)
class PseudoInverseGuidance:
    """Pseudo-inverse guidance, for linear operators and Gaussian noise.

    Per evaluation it takes one vector-Jacobian product.

    Args:
        data_std: s, the standard deviation of a number of an item in model space.

    Raises:
        ValueError: for one that is not positive.
    """

    data_std: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.data_std < float("inf"):
            raise ValueError(f"data_std={self.data_std}; give a positive number")

    def __str__(self) -> str:
        return f"pigdm:{self.data_std:g}"

    def guide(self, measurement: Measurement) -> MeasurementGuide:
        """The guide for items of these measurements."""
        measurement.check()
        return MeasurementGuide(measurement, self)

    def variance(self, level: Level) -> Tensor:
        """r^2 at a `level`."""
        alpha, sigma, s = level.alpha, level.sigma, self.data_std
        value = (sigma * s) ** 2 / ((alpha * s) ** 2 + sigma**2)
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)

    def likelihood_score(
        self, measurement: Measurement, found: Linearised
    ) -> Float[Tensor, "b *shape"]:
        """J^T A^T (std_y^2 + r^2 A A^T)^-1 (y - A x0hat).

        Args:
            measurement: one per item.
            found: the prediction with its derivative.
        """
        operator = measurement.linear
        residual = measurement.residual(found.prediction.x0)
        noise, r2 = measurement.variance.to(residual), self.variance(found.level).to(residual)

        def product(v: Tensor) -> Tensor:
            return noise * v + operator(r2 * operator.adjoint(v))

        solved = gmres(product, residual, tolerance=_TOLERANCE)
        return found.vjp(operator.adjoint(solved.x))


POSTERIOR_METHODS.register(
    "pigdm",
    PseudoInverseGuidance(),
    "pseudo-inverse guidance; exact for isotropic Gaussian data (Song et al. 2023)",
    make=PseudoInverseGuidance,
    parameter="s, the standard deviation of the data, a positive number",
)
