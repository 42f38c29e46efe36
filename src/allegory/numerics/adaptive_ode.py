r"""Adaptive integrator for the probability-flow ODE, with a step size of its own for each item.

Each step is a variable-step Adams predictor-corrector (PECE, `adams.py`): one evaluation of the
field, whether the step is accepted or not. It integrates the residual of the flow after that of a
local Gaussian has been removed (`local_gaussian.py`); since the Gaussian is refitted at every step,
stored slopes are first expressed in its coordinates, which costs no evaluation. The error of a step
is the difference to the corrector without the oldest slope.

An item that has arrived leaves the batch, and one whose step was rejected tries a shorter step
while the others go on, so every evaluation is for an item that needs it and no item depends on
another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from .adams import adams_weights, combine, next_step
from .broadcast import expand_like
from .local_gaussian import Angle, LocalGaussian, Point

_FIRST_STEP_FRACTION = 0.1
"""The first step that is tried, as a fraction of the interval."""

Field: TypeAlias = Callable[[Tensor, Tensor, Tensor], Point]
"""(u, y, items) -> the slopes at (u, y) of the items with this index."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The end of each item.

    Args:
        y: the state at the end.
        growth: the growth of log-volume on the way, per dimension, one column per probe.
        evaluations: evaluations of the field.
    """

    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    evaluations: Int64[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class _State:
    """Items under way: where each is, its past points (newest first), and its next step."""

    items: Int64[Tensor, " b"]
    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    past: tuple[Point, ...]
    times: Float[Tensor, "b n"]
    known: Int64[Tensor, " b"]
    step: Float[Tensor, " b"]
    rejected: Bool[Tensor, " b"]

    def take(self, index: Tensor) -> _State:
        """The items of this index."""
        return _State(
            items=self.items[index],
            y=self.y[index],
            growth=self.growth[index],
            past=tuple(point.take(index) for point in self.past),
            times=self.times[index],
            known=self.known[index],
            step=self.step[index],
            rejected=self.rejected[index],
        )

    def advance(self, trial: _Trial, accepted: Bool[Tensor, " b"], history: int) -> _State:
        """The accepted items at the end of their step, the others where they were."""
        count = min(len(self.past) + 1, history)
        shifted = (trial.point, *self.past)
        unshifted = (*self.past, self.past[-1])[:count]
        past = tuple(new.where(accepted, old) for new, old in zip(shifted, unshifted, strict=False))

        now = self.times[:, :1]
        times = torch.where(
            accepted[:, None],
            torch.cat([now + self.step[:, None], self.times], 1),
            torch.cat([self.times, self.times[:, -1:]], 1),
        )

        return replace(
            self,
            y=torch.where(expand_like(accepted, self.y), trial.y, self.y),
            growth=torch.where(accepted[:, None], self.growth + trial.growth, self.growth),
            past=past,
            times=times[:, :count],
            known=torch.where(accepted, (self.known + 1).clamp(max=history), self.known),
        )


@dataclass(frozen=True, eq=False)
class _Trial:
    """A step that was tried: the state at its end, the slopes there, and its error."""

    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    point: Point
    error: Float[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class AdaptiveIntegrator:
    """A variable-step Adams integrator of the residual flow, with a step size per item.

    Args:
        field: the right-hand side.
        end: u at the end.
        angle: the variable of integration, rising from the start to the end.
        history: how many past slopes a step uses.
        tolerance: the error that a step may have, root mean square, in local standard deviations of
            y and in log-volume per dimension.
        max_evaluations: evaluations of the field that an item may take.
    """

    field: Field
    end: float
    angle: Angle
    history: int
    tolerance: float
    max_evaluations: int

    def run(self, start: Point) -> Solution:
        """Integrate every item from `start` to the end.

        Raises:
            RuntimeError: when an item needs more than `max_evaluations`.
        """
        state = self._begin(start)
        arrived = []
        evaluations = torch.ones_like(state.items)
        end = float(self.angle.forward(torch.tensor(self.end, dtype=torch.float64)))

        while len(state.items) > 0:
            remaining = end - state.times[:, 0]
            is_last = state.step >= remaining - 1e-9
            state = replace(state, step=torch.where(is_last, remaining, state.step))
            trial = self._try(state, is_last)
            evaluations[state.items] += 1
            self._check(evaluations, state.items)

            accepted = trial.error <= self.tolerance
            step = next_step(state.step, trial.error, self.tolerance, state.known)
            # No longer step right after a rejected one.
            shorter = torch.minimum(step, state.step)
            step = torch.where(accepted & state.rejected, shorter, step)
            state = replace(
                state.advance(trial, accepted, self.history), step=step, rejected=~accepted
            )

            done = accepted & is_last
            if bool(done.any()):
                arrived.append((state.items[done], state.y[done], state.growth[done]))
                state = state.take((~done).nonzero()[:, 0])

        index, y, growth = (torch.cat(parts) for parts in zip(*arrived, strict=True))
        order = index.argsort()

        return Solution(y[order], growth[order], evaluations)

    def _begin(self, start: Point) -> _State:
        """All items at the start, with one slope each."""
        items = torch.arange(len(start.u), device=start.u.device)
        now = self.angle.forward(start.u)
        interval = self.angle.forward(torch.full_like(now, self.end)) - now

        return _State(
            items=items,
            y=start.y,
            growth=torch.zeros_like(start.c),
            past=(start,),
            times=now[:, None],
            known=torch.ones_like(items),
            step=_FIRST_STEP_FRACTION * interval,
            rejected=torch.zeros_like(items, dtype=torch.bool),
        )

    def _try(self, state: _State, is_last: Bool[Tensor, " b"]) -> _Trial:
        """Predict, evaluate, correct."""
        now = state.times[:, 0]
        u_now = self.angle.inverse(now)
        u = torch.where(is_last, self.end, self.angle.inverse(now + state.step))
        gaussian = LocalGaussian.fit(state.past[0], self.angle)
        residuals = [gaussian.residual(point) for point in state.past]
        slopes = [slope for slope, _ in residuals]
        rates = [rate for _, rate in residuals]
        predictor, corrector, shorter = self._weights(state)

        z = gaussian.to_normalised(state.y, u_now)
        h = expand_like(state.step, z)
        predicted = z + h * combine(predictor, slopes)
        point = self.field(u, gaussian.to_state(predicted, u), state.items)

        slope, rate = gaussian.residual(point)
        slopes = [slope, *slopes]
        rates = [rate, *rates]
        step = state.step[:, None]
        scaling = (gaussian.radius(u) / gaussian.radius(u_now)).log()[:, None]
        growth = scaling + step * combine(corrector, rates)
        y = gaussian.to_state(z + h * combine(corrector, slopes), u)

        rate_error = (step * combine(corrector - shorter, rates).detach()).mean(1)
        z_error = h * combine(corrector - shorter, slopes).detach()
        error = (rate_error.square() + z_error.square().flatten(1).mean(1)).sqrt()

        return _Trial(y, growth, point, error)

    def _weights(self, state: _State) -> tuple[Tensor, Tensor, Tensor]:
        """The weights of the predictor, the corrector, and the corrector without the oldest slope.

        Those of the predictor are for the past slopes, newest first; the others for the new slope
        and the past ones.
        """
        nodes = (state.times - state.times[:, :1]) / state.step[:, None]
        number = torch.arange(nodes.shape[1], device=nodes.device)
        known = state.known[:, None]
        new = torch.ones_like(nodes[:, :1])
        predictor = adams_weights(nodes, number < known)

        nodes = torch.cat([new, nodes], 1)
        corrector = adams_weights(nodes, torch.cat([new.bool(), number < known], 1))
        shorter = adams_weights(nodes, torch.cat([new.bool(), number < known - 1], 1))
        # With one slope known the shorter rule is that of the past alone, not of the new one alone.
        past_alone = torch.cat([torch.zeros_like(new), predictor], 1)

        return predictor, corrector, torch.where(known == 1, past_alone, shorter)

    def _check(self, evaluations: Tensor, items: Tensor) -> None:
        """RuntimeError where one of these items has exceeded `max_evaluations`."""
        stuck = items[evaluations[items] > self.max_evaluations]
        if len(stuck) > 0:
            raise RuntimeError(
                f"tolerance={self.tolerance:g}: item {int(stuck[0])} needs more than "
                f"{self.max_evaluations} evaluations; raise the tolerance or the limit, use "
                "float64, and look for a predict that is random or not finite"
            )
