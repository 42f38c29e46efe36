r"""Plans: what a sampler will do, as numbers, before it does anything.

Everything that a solver may combine is linear: a state is alpha x0 + sigma eps of the prediction that was formed there, and
so is every slope of the probability flow. So a sampler on a given grid is a list of moves, each a sum

    x  <-  r x + a x0 + b eps + sum_j w_j k_j + sum_j c_j z_j

of the state, the prediction just formed of it, combinations k_j of earlier predictions that were kept for this, and standard-normal
draws z_j; after it the network is asked again, at the Level that was reached. One such move a step is a multistep
method, two or three are a Runge-Kutta method. Coefficients are computed once, in float64, for the whole grid; the loop
has nothing left to decide.

Between two moves a sampler may *stay* at a Level and let a Markov kernel (`langevin.py`) move the state within the density
there: a correction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..process.coefficients import Coefficient, weighted_sum, zero
from ..process.path import Level
from ..process.prediction import Prediction
from .history import History
from .mcmc.target import Kernel


@dataclass(frozen=True)
class Update:
    """How to reach `to`: what multiplies the state, the prediction, what was kept and the draws, newest first.

    `keep` lists the combinations (a, b) of this prediction, a x0 + b eps, that are remembered before the sum is made. A move
    with `noise` makes one fresh draw, the newest; so does one with `between`, two standard deviations of which the prediction's
    share takes the geometric mean. A `stage` is evaluated, but is no state of the trajectory.
    """

    to: Level
    state: Coefficient = 0.0
    x0: Coefficient = 0.0
    eps: Coefficient = 0.0
    keep: tuple[tuple[Coefficient, Coefficient], ...] = ()
    kept: tuple[Coefficient, ...] = ()
    noise: tuple[Coefficient, ...] = ()
    between: tuple[Coefficient, Coefficient] | None = None
    stage: bool = False

    @property
    def asks(self) -> bool:
        """Whether it needs a prediction of the state: one evaluation of the network."""
        return bool(self.keep) or not zero(self.x0) or not zero(self.eps)

    @property
    def draws(self) -> bool:
        """Whether it makes a fresh draw."""
        return bool(self.noise) or self.between is not None

    def __call__(
        self, x: Tensor, prediction: Prediction | None, kept: History, draws: Sequence[Tensor]
    ) -> Tensor:
        """The state at `to`; of the draws so far the newest is the last."""
        parts = [(self.state, x)]
        if not zero(self.x0) or not zero(self.eps):
            assert prediction is not None, "the driver asks before a move that needs it"
            parts += prediction.terms(self.x0, self.eps)
        parts += [(c, draws[-1 - j]) for j, c in enumerate(self.noise)]
        if self.between is not None:
            parts.append((_learned_std(prediction, *self.between), draws[-1]))
        return kept.add(self.kept, parts) if self.kept else weighted_sum(*parts)


def _learned_std(prediction: Prediction | None, low: Coefficient, high: Coefficient) -> Tensor:
    """exp(share log high + (1 - share) log low)."""
    if prediction is None or prediction.variance_fraction is None:
        raise ValueError(
            "predict: its Prediction has no share, so the variance of a step was not learned; use ddpm or ddpm_large"
        )
    return torch.exp(prediction.variance_fraction * math.log(high / low)) * low


@dataclass(frozen=True)
class Correction:
    """A correction: a Markov kernel that leaves the density at a Level as it is. It is no state of the trajectory."""

    to: Level
    kernel: Kernel
    stage: bool = True


UpdatePlan = Callable[[Sequence[Level]], list[Update]]
"""The moves along these Levels, first to last, of a method that has nothing else."""

Plan = Sequence[Update | Correction]
"""What the driver carries out, in order."""

Planner = Callable[[Sequence[Level]], Plan]
"""The plan along these Levels, first to last."""


@dataclass(frozen=True)
class Solver:
    """A name, and how it plans; the order of its error; the spacing and the end of a grid that suit it.

    The order is that of a step on the probability flow, once a multistep method has all its predictions (it begins with a step
    of first order, whose error stays); or of the mean and variance of a Gaussian for a solver that draws noise.
    """

    name: str
    plan: Planner
    order: int = 1
    stochastic: bool = False
    spacing: str = "log_snr"
    end: str = "zero"

    def planned(self, levels: Sequence[Level]) -> Solver:
        """The same, for these Levels only, with its plan already made: what a compiler sees is then the bare loop."""
        moves = tuple(self.plan(levels))

        def same(others: Sequence[Level]) -> Plan:
            if len(others) != len(levels) or any(
                a is not b for a, b in zip(others, levels, strict=True)
            ):
                raise ValueError(
                    f"solver {self.name!r} has a plan for one grid; walk that, in its own direction and with its own Levels"
                )
            return moves

        return replace(self, plan=same)
