r"""Solvers that add noise again: EDM's stochastic sampler and Restart sampling.

A raise from one Level to a noisier one is the transition q(x_t | x_s) = N(alpha_t/alpha_s x_s,
-sigma_t^2 expm1(gap)), exact on every path, so it adds no error of its own; the steps are Heun's,
of second order. Fresh noise contracts the error accumulated so far (Karras et al. 2022, section 4),
and the steps that are repeated add their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..process.kernel import added_noise_std
from ..process.path import Level
from .single_step import has_signal_and_noise, heun_plan, levels_at
from .solver import Solver, Update


@dataclass(frozen=True)
class Churn:
    """How much noise EDM's sampler adds, and where (Karras et al. 2022, algorithm 2).

    Before each of N steps the noise level rises by the factor 1 + gamma, gamma = min(s_churn/N,
    sqrt(2) - 1), where s_min <= sigma/alpha <= s_max.

    Args:
        s_churn: amount of noise, over all steps; 0 adds none.
        s_min: the lowest sigma/alpha at which noise is added.
        s_max: the highest.
        s_noise: factor of the standard deviation of the noise: 1 is the forward process, the paper
            takes 1.003 or 1.007 against a network that removes too much noise.

    Raises:
        ValueError: for numbers that do not fit.
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

    def applies(self, level: Level) -> bool:
        """Whether noise is added at this level, which needs signal and noise."""
        return has_signal_and_noise(level) and self.s_min <= _noise_to_signal(level) <= self.s_max


def churn(config: Churn | None = None) -> Solver:
    """EDM's stochastic sampler (Karras et al. 2022, algorithm 2): raise the noise level, then Heun.

    Two evaluations per step. No raise goes beyond t = 1. The config None means Churn(). With
    s_churn = 0 it is heun, and draws nothing.
    """
    config = config or Churn()

    def plan(levels: Sequence[Level]) -> list[Update]:
        gamma = min(config.s_churn / (len(levels) - 1), math.sqrt(2) - 1)
        raised = _raised([level for level in levels[:-1] if config.applies(level)], gamma)

        updates: list[Update] = []
        for here, to in pairwise(levels):
            start = raised.get(here, here)
            if start.log_snr < here.log_snr:
                updates.append(_add_noise(here, start, config.s_noise))
            updates += heun_plan([start, to])
        return updates

    name = "churn" if config == Churn() else f"churn:{config.s_churn:g}"
    return Solver(name, plan, order=2, stochastic=config.s_churn > 0)


def _raised(levels: Sequence[Level], gamma: float) -> dict[Level, Level]:
    """For each Level the one with 1 + gamma times its sigma/alpha, but none beyond t = 1."""
    if not levels or gamma == 0:
        return {}
    end = levels[0].path.schedule.ends[1]
    log_snr = [max(float(level.log_snr) - 2 * math.log1p(gamma), end) for level in levels]
    return dict(zip(levels, levels_at(levels[0].path, log_snr), strict=True))


def _add_noise(here: Level, to: Level, inflation: float = 1.0) -> Update:
    """A draw of q(x_to | x_here), its noise times `inflation`: a stage without an evaluation."""
    noise = inflation * added_noise_std(to.sigma, here, to)
    return Update(to, state=to.alpha / here.alpha, noise=(noise,), stage=True)


def _noise_to_signal(level: Level) -> float:
    """sigma/alpha, which is infinite where there is no signal."""
    return math.exp(-float(level.log_snr) / 2) if level.alpha != 0.0 else math.inf


@dataclass(frozen=True)
class Interval:
    """Where Restart sampling adds noise again, and how often (Xu et al. 2023).

    Args:
        low: the lowest sigma/alpha of the interval.
        high: the highest.
        times: how many times it goes back from the interval's cleanest Level to its noisiest; 0 is
            heun.

    Raises:
        ValueError: for numbers that do not fit.
    """

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

    def holds(self, level: Level) -> bool:
        """Whether a level is in the interval."""
        return has_signal_and_noise(level) and self.low <= _noise_to_signal(level) <= self.high


def restart(interval: Interval | None = None) -> Solver:
    """Restart sampling (Xu et al. 2023): Heun, with an interval of Levels repeated after noise.

    It uses the grid's own Levels in the interval, with two evaluations per step each time. On a
    grid with fewer than two Levels there it is heun. With times = 0 it is heun too, and draws
    nothing.
    """
    interval = interval or Interval()

    def plan(levels: Sequence[Level]) -> list[Update]:
        inside = [i for i, level in enumerate(levels) if interval.holds(level)]
        if len(inside) < 2 or interval.times == 0:
            return heun_plan(levels)
        top, bottom = inside[0], inside[-1]

        # The grid's state at `bottom` is that after the last repetition; all before it are stages.
        first = heun_plan(levels[: bottom + 1])
        first[-1] = replace(first[-1], stage=True)
        down = [replace(update, stage=True) for update in heun_plan(levels[top : bottom + 1])]
        again = [_add_noise(levels[bottom], levels[top]), *down]

        updates = first + again * interval.times
        updates[-1] = replace(updates[-1], stage=False)
        rest = heun_plan(levels[bottom:]) if bottom + 1 < len(levels) else []
        return updates + rest

    return Solver("restart", plan, order=2, stochastic=interval.times > 0)
