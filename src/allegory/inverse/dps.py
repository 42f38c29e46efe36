r"""Diffusion posterior sampling, DPS (Chung et al. 2023, algorithm 1).

An ancestral step from x_t to x_s, then a step along the gradient in x_t of the misfit of x0hat:

    rule="norm"        x_s  <-  x_s - zeta m grad |y - A(x0hat)|             (the paper's)
    rule="square"      x_s  <-  x_s - zeta m grad |y - A(x0hat)|^2
    rule="likelihood"  x_s  <-  x_s + zeta c grad log p(y | x0hat)

with m = sqrt((alpha_s^2 + sigma_s^2) (alpha_t^2 + sigma_t^2)), which is 1 on the paths of the
paper, the variance-preserving ones, and makes the samples the same on any other; and
c = alpha_s sigma_t^2/alpha_t - sigma_s e^{d/2} sigma_t, so that with zeta = 1 the last is the
ancestral step of the score + grad log p(y | x0hat). None is exact: p(y | x0hat) takes x0 to be
known at x0hat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..process.coefficients import exp, zero
from ..process.instruction import Loop, Plan
from ..process.kernel import reverse_step
from ..process.path import Level
from .derivatives import Linearised, linearised
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, check_batch

RULES = ("norm", "square", "likelihood")
"""The rules of the step of `DPS`."""


@dataclass(frozen=True)
class DPS:
    """Diffusion posterior sampling, for any differentiable operator and likelihood.

    Per step it takes one evaluation and one vector-Jacobian product.

    Args:
        scale: zeta.
        rule: "norm", "square" or "likelihood" (see the module).

    Raises:
        ValueError: for a scale that is not finite or negative, and another rule.
    """

    scale: float = 1.0
    rule: str = "norm"
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"scale={self.scale}; give a number of 0 or more")
        pick("rule", self.rule, dict.fromkeys(RULES))

    def __str__(self) -> str:
        return f"dps:{self.scale:g}:rule={self.rule}"

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """One `DPSStep` per step."""
        return [DPSStep(to, here, measurement, self) for here, to in pairwise(levels)]


@dataclass(frozen=True, eq=False)
class DPSStep:
    """An ancestral step, and one along the gradient of the misfit.

    Args:
        to: the Level that is reached.
        here: the Level of the state.
        measurement: one per item.
        method: gives scale and rule.
    """

    to: Level
    here: Level
    measurement: Measurement
    method: DPS
    stage: ClassVar[bool] = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The new state."""
        check_batch(self.measurement, loop.x)
        found = linearised(loop.predict, loop.x, self.here, loop.condition)
        loop.record(found.prediction, None)

        step = reverse_step(found.prediction, self.to)
        x = step.mean if zero(step.std) else step.draw(loop.draw(loop.x))
        return x + self.method.scale * self._change(found)

    def _change(self, found: Linearised) -> Tensor:
        """What is added to x_s, for zeta = 1."""
        if self.method.rule == "likelihood":
            slope = found.gradient(self.measurement.log_likelihood)
            return self._slope_coefficient() * slope

        def misfit(x0: Tensor) -> Tensor:
            square = self.measurement.residual(x0).square().flatten(1).sum(1)
            return square if self.method.rule == "square" else _root(square)

        return -(self.to.marginal_std * self.here.marginal_std) * found.gradient(misfit)

    def _slope_coefficient(self) -> Tensor | float:
        """c: how far the mean of an ancestral step moves with the score."""
        s, t = self.to, self.here
        shared = exp(t.log_snr_minus(s) / 2)
        return s.alpha * t.sigma * (t.sigma / t.alpha) - s.sigma * shared * t.sigma


def _root(square: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0."""
    positive = square > 0
    return square.where(positive, square.new_ones(())).sqrt() * positive


POSTERIOR_METHODS.register(
    "dps",
    DPS(),
    "diffusion posterior sampling, for any operator and likelihood; biased (Chung et al. 2023)",
    make=DPS,
    parameter="zeta, the scale of its step, a number of 0 or more",
    options={"rule": "norm, square or likelihood"},
)
