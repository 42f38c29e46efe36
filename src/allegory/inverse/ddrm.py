r"""DDRM: steps in the coordinates of the operator (Kawar et al. 2022, eq. 7 and 8).

With A = U S V^T a coordinate z_i of V^T x has the measured value y_i of standard deviation std_i
(`decomposition`), and the step to the Level s draws it from a Gaussian around

    not measured                  alpha_s x0_i + sqrt(1 - eta^2) sigma_s eps_i
    alpha_s std_i > sigma_s       alpha_s x0_i + sqrt(1 - eta^2) sigma_s (y_i - x0_i)/std_i
    alpha_s std_i <= sigma_s      alpha_s ((1 - eta_b) x0_i + eta_b y_i)

of standard deviation eta sigma_s in the first two, and sqrt(sigma_s^2 - (eta_b alpha_s std_i)^2) in
the third: a measurement that is less noisy than the state takes the place of the prediction, and
one that is noisier gives the direction of the noise. The first state has alpha_T y_i in the
measured coordinates. (The paper's variable is x/alpha, and its sigma_t is sigma/alpha.)

It is exact on no prior but is cheap: one evaluation per step. A x = y on clean data without noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.instruction import Loop, Plan
from ..process.path import Level
from .decomposition import Decomposition, decompose
from .measurement import Measurement
from .methods import POSTERIOR_METHODS


@dataclass(frozen=True, eq=False)
class SpectralStart:
    """alpha y_i + sqrt(sigma^2 - (alpha std_i)^2) eps in the measured coordinates of a first state,
    where the measurement is less noisy than the state.

    Args:
        to: the Level of the state, before and after.
        measured: the measurement in the coordinates of its operator, one per item.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measured: Decomposition
    stage: bool = True

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The first state."""
        x = loop.x
        values, std, y = self.measured.as_like(x)
        noise = self.measured.coordinates(loop.draw(x))

        left = self.to.sigma**2 - (self.to.alpha * std).square()
        value = self.to.alpha * y + left.clamp_min(0).sqrt() * noise
        change = value - self.measured.coordinates(x)
        return x + self.measured.item(change * ((values > 0) & (left >= 0)), x)


@dataclass(frozen=True, eq=False)
class SpectralStep:
    """A step of DDRM to a Level (see the module).

    Args:
        to: the Level that is reached.
        measured: the measurement in the coordinates of its operator, one per item.
        eta: how much of the noise of a state is new.
        eta_b: how much of a prediction a less noisy measurement replaces.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measured: Decomposition
    eta: float
    eta_b: float
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state at `to`."""
        prediction = loop.prediction()
        noise = loop.draw(loop.x)
        old = (1 - self.eta**2) ** 0.5

        x = prediction.combine(self.to.alpha, old * self.to.sigma)
        x = x + self.eta * self.to.sigma * noise

        change = self._measured(prediction.x0, noise) - self.measured.coordinates(x)
        seen = self.measured.values.to(x) > 0
        return x + self.measured.item(torch.where(seen, change, 0.0), x)

    def _measured(self, x0: Tensor, noise: Tensor) -> Float[Tensor, "b k"]:
        """The coordinates that are measured."""
        alpha, sigma = self.to.alpha, self.to.sigma
        _, std, y = self.measured.as_like(x0)
        x0_i, noise_i = self.measured.coordinates(x0), self.measured.coordinates(noise)

        old = (1 - self.eta**2) ** 0.5
        along = old * sigma * (y - x0_i) / std.clamp_min(torch.finfo(std.dtype).tiny)
        by_noise = alpha * x0_i + along + self.eta * sigma * noise_i

        left = (sigma**2 - (self.eta_b * alpha * std).square()).clamp_min(0).sqrt()
        by_value = alpha * ((1 - self.eta_b) * x0_i + self.eta_b * y) + left * noise_i

        return torch.where(alpha * std > sigma, by_noise, by_value)


@dataclass(frozen=True)
class DDRM:
    """The plan of DDRM (see the module): one evaluation per step, no vector-Jacobian product.

    Args:
        eta: how much of the noise of a state is new, from 0 to 1; 0.85 in the paper.
        eta_b: how much of a prediction a less noisy measurement replaces, from 0 to 1; 1 in the
            paper.

    Raises:
        ValueError: for numbers outside [0, 1].
    """

    eta: float = 0.85
    eta_b: float = 1.0

    def __post_init__(self) -> None:
        for name in ("eta", "eta_b"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}; give a number from 0 to 1")

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
        steps = [SpectralStep(to, measured, self.eta, self.eta_b) for _, to in pairwise(levels)]
        return [SpectralStart(levels[0], measured), *steps]


POSTERIOR_METHODS.register(
    "ddrm",
    DDRM(),
    "steps in the coordinates of the operator, measured or predicted (Kawar et al. 2022)",
    make=DDRM,
    parameter="eta, how much of the noise is new, a number from 0 to 1",
)
