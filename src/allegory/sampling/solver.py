r"""Solvers, and the two instructions of their plans: linear updates and Markov corrections.

A state is alpha x0 + sigma eps of the prediction at it, and so is every slope of the probability
flow. So a method on a given grid is a list of updates, each a sum

    x  <-  r x + a x0 + b eps + sum_j w_j h_j + sum_j c_j z_j

of the state, the prediction at it, stored combinations h_j = a' x0 + b' eps of earlier predictions,
and standard-normal draws z_j. One update per step is a multistep method, two or three are a
Runge-Kutta method. The coefficients are computed once, in float64, for the whole grid, before the
first step.

Between two updates a correction applies a Markov kernel that leaves the density at a Level as it
is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..process.coefficients import Coefficient, Term, weighted_sum, zero
from ..process.guide import check_consistent
from ..process.instruction import History, Loop, Plan
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .mcmc.target import Kernel, NoisedDensity


@dataclass(frozen=True)
class Update:
    """One linear update of the state.

    Args:
        to: the Level that is reached.
        state: coefficient of the state.
        x0: coefficient of the predicted x0.
        eps: coefficient of the predicted eps.
        store: combinations (a, b), that is a x0 + b eps, which are appended to the history before
            the sum is made.
        history_weights: coefficients of the stored combinations, newest first.
        noise: coefficients of the present draw and of earlier ones, newest first.
        std_range: lower and upper standard deviation of a draw; the prediction's
            `variance_fraction` interpolates their logarithms.
        stage: whether the state that is reached is intermediate, and not one of the trajectory.
    """

    to: Level
    state: Coefficient = 0.0
    x0: Coefficient = 0.0
    eps: Coefficient = 0.0
    store: tuple[tuple[Coefficient, Coefficient], ...] = ()
    history_weights: tuple[Coefficient, ...] = ()
    noise: tuple[Coefficient, ...] = ()
    std_range: tuple[Coefficient, Coefficient] | None = None
    stage: bool = False

    @property
    def needs_prediction(self) -> bool:
        """Whether it evaluates the network."""
        return bool(self.store) or not zero(self.x0) or not zero(self.eps)

    @property
    def needs_noise(self) -> bool:
        """Whether it makes a draw."""
        return bool(self.noise) or self.std_range is not None

    @property
    def is_ddim(self) -> bool:
        """Whether it uses x0, eps and noise alone: no state, and no earlier prediction."""
        return zero(self.state) and not self.history_weights and not self.store

    @property
    def history_length(self) -> int:
        """How many stored combinations it reads."""
        return len(self.history_weights)

    @property
    def noise_length(self) -> int:
        """How many draws it reads, with its own."""
        return max(len(self.noise), self.needs_noise)

    def apply(self, loop: Loop) -> Tensor:
        """Predict, store, draw, and return the sum for the state of the loop."""
        prediction = loop.prediction() if self.needs_prediction else None
        if prediction is not None:
            for x0, eps in self.store:
                loop.history.store(prediction, x0, eps)

        if self.needs_noise:
            loop.noise.append(loop.draw(loop.x))
        return self.combine(loop.x, prediction, loop.history, loop.noise)

    def combine(
        self,
        x: Tensor,
        prediction: Prediction | None,
        history: History,
        noise: Sequence[Tensor],
    ) -> Tensor:
        """The state at `to`.

        Args:
            x: the state, shape (b, *shape).
            prediction: the prediction at x; None where `needs_prediction` is false.
            history: the stored combinations, those of this prediction included.
            noise: the draws, the newest last.

        Returns:
            Shape (b, *shape).
        """
        terms: list[Term] = [(self.state, x)]
        if not zero(self.x0) or not zero(self.eps):
            assert prediction is not None, "an update with x0 or eps needs a prediction"
            terms += prediction.terms(self.x0, self.eps)
        terms += [(coefficient, noise[-1 - j]) for j, coefficient in enumerate(self.noise)]
        if self.std_range is not None:
            terms.append((_learned_std(prediction, *self.std_range), noise[-1]))

        if self.history_weights:
            return history.weighted_sum(self.history_weights, terms)
        return weighted_sum(*terms)


def _learned_std(prediction: Prediction | None, low: Coefficient, high: Coefficient) -> Tensor:
    """exp(v log high + (1 - v) log low) of the fraction v (Nichol & Dhariwal 2021, eq. 15)."""
    if prediction is None or prediction.variance_fraction is None:
        raise ValueError(
            "predict: its Prediction has no variance_fraction, so the variance of a step was not "
            "learned; use ddpm or ddpm_large"
        )
    return torch.exp(prediction.variance_fraction * math.log(high / low)) * low


@dataclass(frozen=True)
class Correction:
    """A Markov kernel that leaves the density at a Level as it is.

    Args:
        to: the Level.
        kernel: (density, x, draw) -> Transition.
        stage: whether the state after it is intermediate, and not one of the trajectory.
    """

    to: Level
    kernel: Kernel
    stage: bool = True

    def apply(self, loop: Loop) -> Tensor:
        """The state of the loop after the kernel."""
        density = NoisedDensity(loop.predict, self.to, loop.condition)
        transition = self.kernel(density, loop.x, loop.draw)
        loop.record(density.prediction, transition.accepted)
        return transition.x


def check_plan(predict: Predict, plan: Plan) -> None:
    """Refuse a plan that needs x0 and eps to add up to x_t, where those of a Predict do not.

    Right are linear updates without the state and without earlier predictions: those of DDIM.

    Args:
        predict: the Predict that is sampled.
        plan: the instructions.

    Raises:
        ValueError: for any other instruction; the message names ddim.
    """
    for each in plan:
        if not isinstance(each, Update) or not each.is_ddim:
            check_consistent(predict, "this solver", "use the solver ddim")
            return


UpdatePlan = Callable[[Sequence[Level]], list[Update]]
"""The updates along these Levels, first to last, of a method that has nothing else."""

Planner = Callable[[Sequence[Level]], Plan]
"""The plan along these Levels, first to last."""


@dataclass(frozen=True)
class Solver:
    """A numerical method for the reverse process.

    Args:
        name: as in `SOLVERS`, for messages and reports.
        plan: from Levels to instructions.
        order: of the error on the probability flow, once a multistep method has all its predictions
            (its first step is of order one); for a solver that draws noise, of the mean and
            variance of a Gaussian.
        stochastic: whether it draws noise.
        spacing: of a grid that suits it.
        end: of a grid that suits it.
    """

    name: str
    plan: Planner
    order: int = 1
    stochastic: bool = False
    spacing: str = "log_snr"
    end: str = "zero"

    def updates(self, levels: Sequence[Level]) -> list[Update]:
        """The plan along these levels, for those who need it as numbers.

        Raises:
            ValueError: when it holds instructions other than linear updates.
        """
        updates = []
        for instruction in self.plan(levels):
            if not isinstance(instruction, Update):
                raise ValueError(
                    f"solver {self.name!r}: its plan holds a {type(instruction).__name__}, "
                    "which is not a linear update; choose a solver of updates alone, such as auto"
                )
            updates.append(instruction)
        return updates

    def planned(self, levels: Sequence[Level]) -> Solver:
        """The same for these levels, with its plan made: `torch.compile` sees a bare loop."""
        plan = tuple(self.plan(levels))

        def same(others: Sequence[Level]) -> Plan:
            if len(others) != len(levels) or any(
                a is not b for a, b in zip(others, levels, strict=True)
            ):
                raise ValueError(
                    f"solver {self.name!r} has a plan for one grid, by Solver.planned(levels); "
                    "give that same grid, or the solver itself"
                )
            return plan

        return replace(self, plan=same)
