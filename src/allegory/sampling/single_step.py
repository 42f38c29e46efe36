r"""Solvers that remember nothing: from one Level of the grid to the next in one, two or three evaluations.

All of them land on clean data (sigma = 0) by the posterior mean, which is the limit of each, and leave pure noise
(alpha = 0) by a DDIM step. With u = sigma/alpha, w = alpha/sigma = e^lambda and h the step in lambda:

    ddim      x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z,   c = eta sigma_s sqrt(1 - SNR_t/SNR_s)
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
"""The moves from one Level to the next."""


def stepwise(step: Step) -> UpdatePlan:
    """The plan that repeats a step; at the two ends, where its numbers are infinite, a DDIM step stands for it."""

    def plan(levels: Sequence[Level]) -> list[Update]:
        moves: list[Update] = []
        for here, to in pairwise(levels):
            moves += step(here, to) if inner(here) and inner(to) else _ddim(here, to)
        return moves

    return plan


def levels_at(path: Path, log_snr: Sequence[float]) -> tuple[Level, ...]:
    """The path's Levels with these log-SNRs, by one call of the schedule's inverse."""
    if not log_snr:
        return ()
    return path.levels(
        path.schedule.inverse(torch.tensor(log_snr, dtype=torch.float64)).clamp(0.0, 1.0)
    )


def shares(*parts: float) -> Callable[[float, float], list[float]]:
    """The log-SNRs at these shares of the way from one to another."""
    return lambda t, s: [t + part * (s - t) for part in parts]


def staged(
    places: Callable[[float, float], list[float]],
    step: Callable[[Level, Sequence[Level], Level], list[Update]],
) -> UpdatePlan:
    """A step with Levels between its ends, at the log-SNRs that `places` gives; found for all steps at once."""

    def plan(levels: Sequence[Level]) -> list[Update]:
        ends = [
            (float(here.log_snr), float(to.log_snr))
            for here, to in pairwise(levels)
            if inner(here) and inner(to)
        ]
        each = [places(t, s) for t, s in ends]
        stages = iter(levels_at(levels[0].path, [log_snr for found in each for log_snr in found]))
        way = iter([[next(stages) for _ in found] for found in each])
        return stepwise(lambda here, to: step(here, next(way), to))(levels)

    return plan


def plain(to: Level) -> Update:
    """The DDIM step alpha_s x0 + sigma_s eps; on clean data the posterior mean."""
    return Update(to, x0=to.alpha, eps=to.sigma)


def _ddim(here: Level, to: Level) -> list[Update]:
    return [plain(to)]


def _noisy(eta: float) -> UpdatePlan:
    def plan(levels: Sequence[Level]) -> list[Update]:
        moves = []
        for here, to in pairwise(levels):
            fresh = 0.0 if to.sigma == 0.0 else eta * added_noise_std(to.sigma, to, here)
            moves.append(
                Update(
                    to, x0=to.alpha, eps=sqrt(to.sigma * to.sigma - fresh * fresh), noise=(fresh,)
                )
            )
        return moves

    return plan


def ddim(eta: float = 0.0) -> Solver:
    """DDIM: eta = 0 steps along the probability-flow ODE, eta = 1 is DDPM (Song et al. 2020, eq. 12, 16)."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta}; give a number from 0 (deterministic) to 1 (DDPM)")
    if eta == 0:
        return Solver("ddim", stepwise(_ddim))
    return Solver(f"ddim:{eta:g}", _noisy(eta), stochastic=True)


def _euler(levels: Sequence[Level]) -> list[Update]:
    """Finite at both ends, where dx/dt is."""
    moves = []
    for here, to in pairwise(levels):
        stride = to.t - here.t
        slope = Update(to, state=1.0, x0=stride * here.dalpha, eps=stride * here.dsigma)
        moves.append(plain(to) if to.sigma == 0.0 else slope)
    return moves


def _heun(here: Level, to: Level) -> list[Update]:
    half = (to.sigma - to.alpha * here.sigma / here.alpha) / 2  # alpha_s (u_s - u_t) / 2
    return [
        Update(to, x0=to.alpha, eps=to.sigma, store=((to.alpha, to.sigma - half),), stage=True),
        Update(to, eps=half, history_weights=(1.0,)),
    ]


HEUN = stepwise(_heun)


def _midpoint(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
    (middle,), reached = way, to.alpha * here.sigma / here.alpha  # alpha_s u_t
    return [
        Update(middle, x0=middle.alpha, eps=middle.sigma, store=((to.alpha, reached),), stage=True),
        Update(to, eps=to.sigma - reached, history_weights=(1.0,)),
    ]


def _dpmpp2s(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
    (middle,), reached = way, to.sigma * here.alpha / here.sigma  # sigma_s w_t
    return [
        Update(middle, x0=middle.alpha, eps=middle.sigma, store=((reached, to.sigma),), stage=True),
        Update(to, x0=to.alpha - reached, history_weights=(1.0,)),
    ]


def _dpmpp3s(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
    """Lu et al. 2022 (DPM-Solver++), the third-order step with r1 = 1/3 and r2 = 2/3."""
    third, two = way
    h = (to.log_snr - here.log_snr) / 2
    bend = 2 * two.alpha * (expm1(-2 * h / 3) / (2 * h / 3) + 1)  # times (x0 at 1/3 - x0)
    last = 3 / 2 * to.alpha * (expm1(-h) / h + 1)  # times (x0 at 2/3 - x0)
    begun = ((to.alpha - last, to.sigma), (two.alpha - bend, two.sigma))
    return [
        Update(third, x0=third.alpha, eps=third.sigma, store=begun, stage=True),
        Update(two, x0=bend, history_weights=(1.0,), stage=True),
        Update(to, x0=last, history_weights=(0.0, 1.0)),
    ]


def inner(level: Level) -> bool:
    """Whether there are both signal and noise, so that sigma/alpha and its inverse are finite."""
    return bool(level.alpha != 0.0 and level.sigma != 0.0)


DDPM = Solver("ddpm", _noisy(1.0), stochastic=True)
EULER = Solver("euler", _euler)
HEUN_SOLVER = Solver("heun", HEUN, order=2)
MIDPOINT = Solver("midpoint", staged(shares(1 / 2), _midpoint), order=2)
DPMPP2S = Solver("dpmpp2s", staged(shares(1 / 2), _dpmpp2s), order=2)
DPMPP3S = Solver("dpmpp3s", staged(shares(1 / 3, 2 / 3), _dpmpp3s), order=3)
"""ddpm: Ho et al. 2020, eq. 7 (variance beta-tilde). heun: Karras et al. 2022, algorithm 1. midpoint: Lu et al. 2022,
DPM-Solver-2. dpmpp2s, dpmpp3s: Lu et al. 2022, DPM-Solver++. heun, midpoint and dpmpp2s take
two evaluations a step, dpmpp3s three."""
