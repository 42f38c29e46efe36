r"""DDNM: the measured part of the predicted x0 is that of the measurement (Wang et al. 2023).

    x0' = x0 + A^+ (y - A x0)          so that  A x0' = A A^+ y

with eps' = (x_t - alpha x0')/sigma: the denoiser fills the null space of A. On clean data A x = y
where y has no noise. With noise DDNM reproduces that noise; DDNM+ scales the correction and takes
the noise that it carries from the noise of the step. In the coordinates of the operator, where the
measured value z_i has the standard deviation std_i, a step with new noise of standard deviation c
and the coefficient a of x0 in its mean has

    lambda_i = min(1, c / (a std_i))        new noise of variance c^2 - (a lambda_i std_i)^2,

so that every coordinate of x_s has the noise of the step, c^2 in all (Wang et al. 2023, section 3.3
and appendix I). With std = 0 it is DDNM with ancestral sampling.

Neither is exact: x0' is no posterior mean unless A x0 and the rest of x0 are independent, and the
width of x0 | x_t is not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.coefficients import weighted_sum
from ..process.guide import Guided
from ..process.instruction import Loop, Plan
from ..process.kernel import added_noise_std
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from ..sampling.single_step import ddim
from .decomposition import Decomposition, decompose
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, check_batch


@dataclass(frozen=True, eq=False)
class NullSpaceGuide:
    """x0 + A^+ (y - A x0), with the eps that agrees with x_t.

    Args:
        measurement: of a linear operator, one per item.

    Raises:
        ValueError: for an operator that is not linear.
    """

    measurement: Measurement

    def __post_init__(self) -> None:
        self.measurement.check(gaussian=False)

    def __str__(self) -> str:
        return "ddnm"

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict of `base`."""
        return Guided(base, self)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t, condition).

        Raises:
            ValueError: for another number of items than of measurements.
        """
        check_batch(self.measurement, x_t)
        prediction = base(x_t, t, condition)
        x0 = prediction.x0
        x0 = x0 + self.measurement.linear.pseudo_inverse(self.measurement.residual(x0))

        guided = Prediction.solve("x0", x0, x_t, prediction.level)
        return replace(guided, variance_fraction=prediction.variance_fraction)


@dataclass(frozen=True)
class DDNM:
    """The guide of DDNM (see the module): one evaluation per prediction, no vector-Jacobian
    product. A x = y on clean data.
    """

    def guide(self, measurement: Measurement) -> NullSpaceGuide:
        """The guide of this measurement.

        Raises:
            ValueError: for an operator that is not linear.
        """
        return NullSpaceGuide(measurement)


@dataclass(frozen=True, eq=False)
class NullSpaceStep:
    """A step of DDNM+ from the Level of the state to another.

    Args:
        to: the Level that is reached.
        measured: the measurement in the coordinates of its operator, one per item.
        eta: of the step, as in DDIM.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measured: Decomposition
    eta: float
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state at `to`."""
        prediction = loop.prediction()
        t, s, noise = loop.level, self.to, loop.draw(loop.x)

        new = 0.0 if s.sigma == 0.0 else self.eta * float(added_noise_std(s.sigma, s, t))
        old = math.sqrt(float(s.sigma) ** 2 - new**2)
        x = weighted_sum(*prediction.terms(s.alpha, old), (new, noise))

        # Of the mean alpha_s x0 + old (x_t - alpha_t x0)/sigma_t, the coefficient of x0.
        weight = float(s.alpha) - old * float(t.alpha / t.sigma)
        change = self._change(prediction.x0, noise, weight, new)
        return x + self.measured.item(change, x)

    def _change(self, x0: Tensor, noise: Tensor, weight: float, new: float) -> Tensor:
        """What is added in the coordinates of the operator."""
        values, std, y = self.measured.as_like(x0)
        carried = weight * std
        scale = torch.where(carried > new, new / carried.clamp_min(1e-300), 1.0) * (values > 0)
        left = (new * new - (scale * carried).square()).clamp_min(0).sqrt()

        gap = y - self.measured.coordinates(x0)
        return weight * scale * gap + (left - new) * self.measured.coordinates(noise)


@dataclass(frozen=True)
class DDNMPlus:
    """The plan of DDNM+ (see the module): one evaluation per step, no vector-Jacobian product.

    Args:
        eta: of the steps, as in DDIM: 1 is ancestral sampling. With 0 no step has noise that the
            measurement could take the place of, and only a measurement without noise is used.

    Raises:
        ValueError: for an eta outside [0, 1].
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        ddim(self.eta)

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """The instructions along these Levels, from noise to data.

        Args:
            measurement: of a linear operator with Gaussian noise, one per item.
            levels: of a grid.

        Raises:
            ValueError: for another operator or noise, and an operator that is too large to
                decompose.
        """
        measured = decompose(measurement)
        return [NullSpaceStep(to, measured, self.eta) for _, to in pairwise(levels)]


POSTERIOR_METHODS.register(
    "ddnm",
    DDNM(),
    "the measured part of the predicted x0 is that of y; A x = y without noise (Wang et al. 2023)",
)
POSTERIOR_METHODS.register(
    "ddnm_plus",
    DDNMPlus(),
    "ddnm for noisy measurements, in the coordinates of the operator (Wang et al. 2023)",
    make=DDNMPlus,
    parameter="eta, a number from 0 to 1",
)
