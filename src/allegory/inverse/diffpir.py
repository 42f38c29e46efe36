r"""DiffPIR: a proximal step on the predicted x0, then a step with part of the noise new (Zhu et al.
2023, algorithm 1).

    x0' = argmin_x |y - A x|^2_(1/V) + rho |x - x0|^2,         rho = lambda alpha^2/sigma^2
    eps' = (x_t - alpha x0')/sigma
    x_s = alpha_s x0' + sigma_s (sqrt(1 - zeta) eps' + sqrt(zeta) eps)

x0' is the posterior mean of x0 ~ N(x0, sigma^2/(lambda alpha^2) I) (`linear_gaussian`), solved to
the precision of the numbers. For noise of one standard deviation std this is the paper's
|y - A x|^2 + rho_t |x - x0|^2 with rho_t = lambda std^2 alpha^2/sigma^2. Without noise x0' is
x0 + A^+ (y - A x0), as in DDNM.

It is exact on no prior: the width of x0 | x_t is neither sigma/alpha nor the same in all
directions, and x0' is a mean where a draw is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from ..process.coefficients import weighted_sum
from ..process.instruction import Loop, Plan
from ..process.path import Level
from ..process.prediction import Prediction
from .linear_gaussian import conditional_mean
from .measurement import Measurement
from .methods import POSTERIOR_METHODS


@dataclass(frozen=True, eq=False)
class ProximalStep:
    """A step of DiffPIR from the Level of the state to another (see the module).

    Args:
        to: the Level that is reached.
        measurement: of a linear operator with Gaussian noise, one per item.
        weight: lambda.
        zeta: the part of the noise that is new.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measurement: Measurement
    weight: float
    zeta: float
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state at `to`."""
        t, s = loop.level, self.to
        precision = self.weight * float(t.alpha / t.sigma) ** 2
        x0 = conditional_mean(self.measurement, loop.prediction().x0, precision)
        if s.sigma == 0.0:
            return x0

        eps = Prediction.solve("x0", x0, loop.x, t).eps
        old, new = math.sqrt(1 - self.zeta), math.sqrt(self.zeta)
        return weighted_sum((s.alpha, x0), (s.sigma * old, eps), (s.sigma * new, loop.draw(x0)))


@dataclass(frozen=True)
class DiffPIR:
    """The plan of DiffPIR (see the module): one evaluation per step, no vector-Jacobian product.

    Args:
        weight: lambda, the precision of x0 at noise level sigma/alpha in units of
            alpha^2/sigma^2; above 0.
        zeta: the part of the noise that is new, from 0 to 1; the paper chooses it by task.

    Raises:
        ValueError: for numbers that do not fit.
    """

    weight: float = 1.0
    zeta: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight={self.weight}; give a finite number above 0")
        if not 0 <= self.zeta <= 1:
            raise ValueError(f"zeta={self.zeta}; give a number from 0 to 1")

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """The instructions along these Levels, from noise to data.

        Args:
            measurement: of a linear operator with Gaussian noise, one per item.
            levels: of a grid.

        Raises:
            ValueError: for another operator or noise.
        """
        measurement.check()
        return [ProximalStep(to, measurement, self.weight, self.zeta) for _, to in pairwise(levels)]


POSTERIOR_METHODS.register(
    "diffpir",
    DiffPIR(),
    "a proximal step on x0, then part of the noise new; biased (Zhu et al. 2023)",
    make=DiffPIR,
    parameter="lambda, the weight of the prediction, a number above 0",
)
