r"""SEEDS: exponential solvers for the reverse SDE with stages (Gonzalez et al. 2023).

They are DPM-Solver-2 and -3 with twice the slope, d(x/alpha)/du = 2 eps, and noise. What a stage
has drawn is part of the noise of the whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..process.coefficients import Coefficient, expm1
from ..process.kernel import added_noise_std
from ..process.path import Level
from .single_step import at_fractions, with_stages
from .solver import Solver, Update


def _noise_std(to: Level, here: Level, there: Level) -> Coefficient:
    """alpha_to sqrt(u_here^2 - u_there^2): the std in x_to of the draw from `here` to `there`."""
    return added_noise_std(to.alpha * here.sigma / here.alpha, there, here)


def _noise_stds(to: Level, way: Sequence[Level]) -> tuple[Coefficient, ...]:
    """The coefficients in x_to of the draws made along the way, newest first."""
    return tuple(_noise_std(to, here, there) for here, there in pairwise(way))[::-1]


def _doubled_eps(to: Level, here: Level) -> Coefficient:
    """The coefficient of eps, with alpha_to for x0, when the slope 2 eps is constant."""
    return 2 * to.sigma - to.alpha * here.sigma / here.alpha


def _seeds2(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
    """The midpoint rule in lambda."""
    (middle,) = stages
    u_scaled = to.alpha * here.sigma / here.alpha  # alpha_s u_t

    return [
        Update(
            middle,
            x0=middle.alpha,
            eps=_doubled_eps(middle, here),
            store=((to.alpha, u_scaled),),
            noise=_noise_stds(middle, [here, middle]),
            stage=True,
        ),
        Update(
            to,
            eps=2 * (to.sigma - u_scaled),
            history_weights=(1.0,),
            noise=_noise_stds(to, [here, middle, to]),
        ),
    ]


def _seeds3(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
    """DPM-Solver-3 with twice its slopes, stages at 1/3 and 2/3 of the step, and three draws."""
    one, two = stages
    h = (to.log_snr - here.log_snr) / 2
    second = -4 * two.sigma * (expm1(2 * h / 3) / (2 * h / 3) - 1)  # of (eps at 1/3 - eps)
    third = -3 * to.sigma * (expm1(h) / h - 1)  # of (eps at 2/3 - eps)
    stored = (
        (to.alpha, _doubled_eps(to, here) - third),
        (two.alpha, _doubled_eps(two, here) - second),
    )

    return [
        Update(
            one,
            x0=one.alpha,
            eps=_doubled_eps(one, here),
            store=stored,
            noise=_noise_stds(one, [here, one]),
            stage=True,
        ),
        Update(
            two,
            eps=second,
            history_weights=(1.0,),
            noise=_noise_stds(two, [here, one, two]),
            stage=True,
        ),
        Update(
            to,
            eps=third,
            history_weights=(0.0, 1.0),
            noise=_noise_stds(to, [here, one, two, to]),
        ),
    ]


SEEDS2 = Solver("seeds2", with_stages(at_fractions(1 / 2), _seeds2), order=2, stochastic=True)
SEEDS3 = Solver(
    "seeds3", with_stages(at_fractions(1 / 3, 2 / 3), _seeds3), order=2, stochastic=True
)
