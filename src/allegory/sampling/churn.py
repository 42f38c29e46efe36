r"""Solvers that go back up: noise is added to a state by the forward process, and the flow is walked down again.

A raise from one Level to a noisier one is the transition q(x_t | x_s) = N(alpha_t/alpha_s x_s, -sigma_t^2 expm1(gap)),
exact on every path, so it adds no error of its own; the steps are Heun's, of second order. The new draw wipes out part
of the errors made so far, and the flow adds those of the steps that are walked once more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..process.kernel import added_noise_std
from ..process.path import Level
from .single_step import HEUN, inner, levels_at
from .solver import Solver, Update


@dataclass(frozen=True)
class Churn:
    """How much noise Karras et al. 2022 add, and where; sigma stands for sigma/alpha on every path.

    Before each of N steps the noise level rises by the factor 1 + gamma, gamma = min(s_churn/N, sqrt(2) - 1), where
    s_min <= sigma/alpha <= s_max. The draw is s_noise times that of the forward process: 1 is exact, the paper takes 1.003
    or 1.007 against a network that removes too much noise. ValueError for numbers that do not fit.
    """

    s_churn: float = 40.0
    s_min: float = 0.05
    s_max: float = 50.0
    s_noise: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.s_churn < math.inf:
            raise ValueError(f"s_churn={self.s_churn}; give a finite number, 0 (no noise) or more")
        if not 0 <= self.s_min <= self.s_max:
            raise ValueError(
                f"s_min={self.s_min}, s_max={self.s_max}; give 0 <= s_min <= s_max, in sigma/alpha"
            )
        if not 0 < self.s_noise < math.inf:
            raise ValueError(
                f"s_noise={self.s_noise}; give a finite number above 0; 1 is the forward process"
            )

    def holds(self, level: Level) -> bool:
        """Whether noise is added at this Level; where there is none at all, or no signal, it cannot rise."""
        return inner(level) and self.s_min <= _ratio(level) <= self.s_max


def churn(how: Churn | None = None) -> Solver:
    """EDM's stochastic sampler: raise the noise level, then step down with Heun (Karras et al. 2022, algorithm 2).

    Two evaluations a step. No raise goes beyond t = 1. With s_churn = 0 it is heun, and draws nothing.
    """
    how = how or Churn()

    def plan(levels: Sequence[Level]) -> list[Update]:
        gamma = min(how.s_churn / (len(levels) - 1), math.sqrt(2) - 1)
        risen = _raised([level for level in levels[:-1] if how.holds(level)], gamma)
        moves: list[Update] = []
        for here, to in pairwise(levels):
            start = risen.get(here, here)
            if start.log_snr < here.log_snr:
                moves.append(_up(here, start, how.s_noise))
            moves += HEUN([start, to])
        return moves

    name = "churn" if how == Churn() else f"churn:{how.s_churn:g}"
    return Solver(name, plan, order=2, stochastic=how.s_churn > 0)


def _raised(levels: Sequence[Level], gamma: float) -> dict[Level, Level]:
    """Of each Level the one with 1 + gamma times its sigma/alpha, or that of t = 1 where this would be beyond it."""
    if not levels or gamma == 0:
        return {}
    end = levels[0].path.schedule.ends[1]
    log_snr = [max(float(level.log_snr) - 2 * math.log1p(gamma), end) for level in levels]
    return dict(zip(levels, levels_at(levels[0].path, log_snr), strict=True))


def _up(here: Level, there: Level, inflation: float = 1.0) -> Update:
    """A draw of q(x_there | x_here), the noise inflated: no state of the trajectory, and nothing is asked."""
    noise = inflation * added_noise_std(there.sigma, here, there)
    return Update(there, state=there.alpha / here.alpha, noise=(noise,), stage=True)


def _ratio(level: Level) -> float:
    """sigma/alpha, which is infinite where there is no signal."""
    return math.exp(-float(level.log_snr) / 2) if level.alpha != 0.0 else math.inf


@dataclass(frozen=True)
class Interval:
    """Where Restart sampling goes back up, low <= sigma/alpha <= high, and how many times. ValueError where it cannot."""

    low: float = 0.05
    high: float = 0.3
    times: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(
                f"low={self.low}, high={self.high}; give 0 < low < high, in sigma/alpha"
            )
        if self.times < 0 or self.times != int(self.times):
            raise ValueError(f"times={self.times}; give a whole number, 0 (never) or more")


def restart(where: Interval | None = None) -> Solver:
    """Restart sampling (Xu et al. 2023): Heun, and `times` times from the interval's cleanest Level back to its noisiest.

    It walks the grid's own Levels in the interval, each time two evaluations a step; on a grid with fewer than two Levels
    there, there is nothing to walk again, and this is plain heun. With times = 0 it is heun too, and draws nothing.
    """
    where = where or Interval()

    def plan(levels: Sequence[Level]) -> list[Update]:
        inside = [
            i
            for i, level in enumerate(levels)
            if where.low <= _ratio(level) <= where.high and inner(level)
        ]
        if len(inside) < 2 or where.times == 0:
            return HEUN(levels)
        top, bottom = inside[0], inside[-1]
        down = HEUN(levels[top : bottom + 1])
        again = [_up(levels[bottom], levels[top]), *(replace(move, stage=True) for move in down)]
        before = HEUN(levels[: bottom + 1])
        before[-1] = replace(
            before[-1], stage=True
        )  # the grid's state there is the one after the last restart
        walks = before + again * where.times
        walks[-1] = replace(walks[-1], stage=False)
        return walks + (HEUN(levels[bottom:]) if bottom + 1 < len(levels) else [])

    return Solver("restart", plan, order=2, stochastic=where.times > 0)
