r"""DAPS: decoupled annealing (Zhang et al. 2024, algorithm 1).

    x0 ~ p(x0 | x_t, y)          x_s = alpha_s x0 + sigma_s eps

If x_t has the law of the noised posterior, so has x_s: the draw of x0 has the law p(x0 | y), and
the new noise is that of the Level s. So every marginal is exact, for any steps, if x0 is drawn from
p(x0 | x_t, y), and errors of one step are not carried to the next as in a chain with small steps.
p(x0 | x_t) is not known, and a Gaussian stands for it (`conditional_draws`): what it misses (that
x0 given a noisy state has several modes, or a narrow direction) is the bias of the method.

The paper's x0hat is the end of a probability flow from x_t and its r is sigma/alpha. Here x0hat is
one prediction, E[x0 | x_t], and r^2 the variance that goes with it, which is exact for isotropic
Gaussian data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from ..process.instruction import Loop, Plan
from ..process.path import Level
from ..process.prediction import Prediction
from .conditional_draws import ChainDraw, ConditionalDraw, IsotropicGaussian, TweedieGaussian
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, check_batch


@dataclass(frozen=True, eq=False)
class DecoupledStep:
    """A draw of x0 given the state and the measurement, noised to another Level with new noise.

    Args:
        to: the Level that is reached.
        measurement: one per item.
        draw: of x0.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measurement: Measurement
    draw: ConditionalDraw
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state at `to`."""
        check_batch(self.measurement, loop.x)
        x0 = self.draw(loop, self.measurement)

        loop.record(Prediction.solve("x0", x0, loop.x, loop.level), None)
        return x0 if self.to.sigma == 0.0 else self.to.mix(x0, loop.draw(x0))


@dataclass(frozen=True)
class DAPS:
    """The plan of decoupled annealing (see the module).

    Args:
        draw: of x0 given the state and the measurement, (loop, measurement) -> x0. An exact one
            makes each marginal exact.
    """

    draw: ConditionalDraw = field(default_factory=IsotropicGaussian)

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """The instructions along these Levels, from noise to data.

        Args:
            measurement: one per item.
            levels: of a grid.
        """
        return [DecoupledStep(to, measurement, self.draw) for _, to in pairwise(levels)]


POSTERIOR_METHODS.register(
    "daps",
    DAPS(),
    "decoupled annealing; exact for isotropic Gaussian data (Zhang et al. 2024)",
    make=lambda data_std: DAPS(IsotropicGaussian(data_std)),
    parameter="s, the standard deviation of the data, a positive number",
)
POSTERIOR_METHODS.register(
    "daps_tweedie",
    DAPS(TweedieGaussian()),
    "daps with the covariance of Tweedie's formula; exact for Gaussian data",
    make=lambda tolerance: DAPS(TweedieGaussian(tolerance)),
    parameter="tolerance, of the linear equation and the root of the covariance",
)
POSTERIOR_METHODS.register(
    "daps_chain",
    DAPS(IsotropicGaussian(draw=ChainDraw())),
    "daps for any operator and likelihood, x0 by Hamiltonian Monte Carlo (Zhang et al. 2024)",
    make=lambda data_std: DAPS(IsotropicGaussian(data_std, ChainDraw())),
    parameter="s, the standard deviation of the data, a positive number",
)
