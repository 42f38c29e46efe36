r"""Single-step solvers: one, two or three evaluations per step, and no history.

All of them reach clean data (sigma = 0) by the posterior mean, which is the limit of each, and
leave pure noise (alpha = 0) by a DDIM step. With u = sigma/alpha, w = alpha/sigma = e^lambda and h
the step in lambda:

    ddim      x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z
              with c = eta sigma_s sqrt(1 - SNR_t/SNR_s)
    ddpm      a draw of q(x_s | x_t, x0): ddim with eta = 1
    euler     x_s = x_t + (s - t) dx/dt
    heun      trapezoidal rule in u, where d(x/alpha)/du = eps
    midpoint  the same with the slope halfway in lambda (DPM-Solver-2)
    dpmpp2s   the midpoint rule in w, where d(x/sigma)/dw = x0
    dpmpp3s   of third order there, with slopes at 1/3 and 2/3 of the step in lambda
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from ..process.coefficients import expm1, sqrt
from ..process.kernel import added_noise_std
from ..process.path import Level, Path
from .solver import Solver, Update, UpdatePlan

Step = Callable[[Level, Level], Sequence[Update]]
"""The updates from one Level to the next."""

StagedStep = Callable[[Level, Sequence[Level], Level], Sequence[Update]]
"""The updates from one Level to the next, given the Levels of its stages."""

StagePlaces = Callable[[float, float], list[float]]
"""The log-SNR of each stage of a step from one log-SNR to another."""


def has_signal_and_noise(level: Level) -> bool:
    """Whether neither alpha nor sigma of a level is 0, so that their ratios are finite."""
    return bool(level.alpha != 0.0 and level.sigma != 0.0)


def ddim_update(to: Level) -> Update:
    """The DDIM step to a Level, alpha x0 + sigma eps; `to` clean data the posterior mean."""
    return Update(to, x0=to.alpha, eps=to.sigma)


def step_by_step(step: Step) -> UpdatePlan:
    """The plan that repeats a step, and takes DDIM steps where its numbers would be infinite."""

    def plan(levels: Sequence[Level]) -> list[Update]:
        updates: list[Update] = []
        for here, to in pairwise(levels):
            if has_signal_and_noise(here) and has_signal_and_noise(to):
                updates += step(here, to)
            else:
                updates.append(ddim_update(to))
        return updates

    return plan


def levels_at(path: Path, log_snr: Sequence[float]) -> tuple[Level, ...]:
    """The Levels of a path with these log_snr, by one call of the schedule's inverse."""
    if not log_snr:
        return ()
    times = path.schedule.inverse(torch.tensor(log_snr, dtype=torch.float64))
    return path.levels(times.clamp(0.0, 1.0))


def at_fractions(*fractions: float) -> StagePlaces:
    """Stages at these fractions of a step in log-SNR."""
    return lambda start, end: [start + fraction * (end - start) for fraction in fractions]


def with_stages(places: StagePlaces, step: StagedStep) -> UpdatePlan:
    """The plan that repeats a step with stages.

    Args:
        places: the log-SNRs of the stages of a step.
        step: (here, stages, to) -> updates.

    Returns:
        From Levels to updates; the Levels of all stages are found by one call of the schedule's
        inverse.
    """

    def plan(levels: Sequence[Level]) -> list[Update]:
        steps = [
            (here, to)
            for here, to in pairwise(levels)
            if has_signal_and_noise(here) and has_signal_and_noise(to)
        ]
        log_snrs = [places(float(here.log_snr), float(to.log_snr)) for here, to in steps]
        found = iter(levels_at(levels[0].path, [place for stages in log_snrs for place in stages]))
        stages_of = {
            here: [next(found) for _ in stages]
            for (here, _), stages in zip(steps, log_snrs, strict=True)
        }

        return step_by_step(lambda here, to: step(here, stages_of[here], to))(levels)

    return plan


def _ancestral(eta: float) -> UpdatePlan:
    """alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z (Song et al. 2020, eq. 12, 16)."""

    def plan(levels: Sequence[Level]) -> list[Update]:
        updates = []
        for here, to in pairwise(levels):
            new = 0.0 if to.sigma == 0.0 else eta * added_noise_std(to.sigma, to, here)
            old = sqrt(to.sigma * to.sigma - new * new)
            updates.append(Update(to, x0=to.alpha, eps=old, noise=(new,)))
        return updates

    return plan


def ddim(eta: float = 0.0) -> Solver:
    """DDIM: eta = 0 is the probability-flow ODE, eta = 1 is DDPM (Song et al. 2020, eq. 12, 16)."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta}; give a number from 0 (deterministic) to 1 (DDPM)")
    if eta == 0:
        return Solver("ddim", step_by_step(lambda here, to: [ddim_update(to)]))
    return Solver(f"ddim:{eta:g}", _ancestral(eta), stochastic=True)


def _euler(levels: Sequence[Level]) -> list[Update]:
    """Finite at both ends, where dx/dt is."""
    updates = []
    for here, to in pairwise(levels):
        if to.sigma == 0.0:
            updates.append(ddim_update(to))
            continue
        dt = to.t - here.t
        updates.append(Update(to, state=1.0, x0=dt * here.dalpha, eps=dt * here.dsigma))
    return updates


def _heun(here: Level, to: Level) -> list[Update]:
    """Karras et al. 2022, algorithm 1."""
    half = (to.sigma - to.alpha * here.sigma / here.alpha) / 2  # alpha_s (u_s - u_t) / 2
    first = ((to.alpha, to.sigma - half),)
    return [
        Update(to, x0=to.alpha, eps=to.sigma, store=first, stage=True),
        Update(to, eps=half, history_weights=(1.0,)),
    ]


def _midpoint(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
    """Lu et al. 2022, DPM-Solver-2."""
    (middle,) = stages
    u_scaled = to.alpha * here.sigma / here.alpha  # alpha_s u_t
    first = ((to.alpha, u_scaled),)
    return [
        Update(middle, x0=middle.alpha, eps=middle.sigma, store=first, stage=True),
        Update(to, eps=to.sigma - u_scaled, history_weights=(1.0,)),
    ]


def _dpmpp2s(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
    """Lu et al. 2022, DPM-Solver++(2S)."""
    (middle,) = stages
    w_scaled = to.sigma * here.alpha / here.sigma  # sigma_s w_t
    first = ((w_scaled, to.sigma),)
    return [
        Update(middle, x0=middle.alpha, eps=middle.sigma, store=first, stage=True),
        Update(to, x0=to.alpha - w_scaled, history_weights=(1.0,)),
    ]


def _dpmpp3s(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
    """Lu et al. 2022, DPM-Solver++(3S), with r1 = 1/3 and r2 = 2/3."""
    one, two = stages
    h = (to.log_snr - here.log_snr) / 2
    second = 2 * two.alpha * (expm1(-2 * h / 3) / (2 * h / 3) + 1)  # of (x0 at 1/3 - x0)
    third = 3 / 2 * to.alpha * (expm1(-h) / h + 1)  # of (x0 at 2/3 - x0)
    first = ((to.alpha - third, to.sigma), (two.alpha - second, two.sigma))

    return [
        Update(one, x0=one.alpha, eps=one.sigma, store=first, stage=True),
        Update(two, x0=second, history_weights=(1.0,), stage=True),
        Update(to, x0=third, history_weights=(0.0, 1.0)),
    ]


heun_plan = step_by_step(_heun)
"""Heun's steps along Levels."""

DDPM = Solver("ddpm", _ancestral(1.0), stochastic=True)
"""Variance beta-tilde (Ho et al. 2020, eq. 7)."""

EULER = Solver("euler", _euler)
HEUN = Solver("heun", heun_plan, order=2)
MIDPOINT = Solver("midpoint", with_stages(at_fractions(1 / 2), _midpoint), order=2)
DPMPP2S = Solver("dpmpp2s", with_stages(at_fractions(1 / 2), _dpmpp2s), order=2)
DPMPP3S = Solver("dpmpp3s", with_stages(at_fractions(1 / 3, 2 / 3), _dpmpp3s), order=3)
