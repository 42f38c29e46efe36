r"""Stochastic solvers: draws of the reverse SDE, by exponential integrators and in t.

With u = sigma/alpha and lambda = log(alpha/sigma), the VE scale of every path, each SDE that has the path's marginals
has a function phi(u), by which (Cui et al. 2023)

    x_s/(alpha_s phi_s) = x_t/(alpha_t phi_t) + int x0 d(1/phi) + noise
    noise of x_s:  alpha_s sqrt(u_s^2 - u_t^2 (phi_s/phi_t)^2) z.

phi(u) = u is the probability flow and has no noise; the faster phi/u grows, the more there is. So an SDE is a form of
`multistep.py` whose clock is 1/phi, with one draw a step, and the rules of quadrature are those of the flow. It is
written by its *excess* log(phi/u), as a function of y = lambda:

    gauge = sigma e^excess,   clock = e^{y - excess},   noise = sigma_s sqrt(-expm1(2 excess_s - 2 excess_t))

    SA-Solver         phi = u^{1 + tau^2}           excess = -tau^2 y                       Xue et al. 2023
    SDE-DPM-Solver++  phi = u^2                     the same with tau = 1                   Lu et al. 2022
    ER-SDE-Solver     phi = u (exp(u^0.3) + 10)     excess = log(exp(e^{-0.3 y}) + 10)      Cui et al. 2023

tau = 1 is the reverse SDE of Song et al. 2021, and its first order is DDPM. The corrector of SA-Solver integrates the
last step again with the same draw, so it changes the slopes' weights and nothing else.

Orders are weak orders, of the mean and the variance that a Gaussian is given. A step of Adams-Bashforth does not know
how x0 will follow the step's own draw; the next one, whose polynomial bends by what was drawn, makes up for it to second
order. More predictions make the constant smaller, not the order higher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from ..process.coefficients import Coefficient, exp, expm1, sqrt
from ..process.kernel import added_noise_std
from ..process.path import Level
from .multistep import Clock, Form, adams, each, multistep
from .single_step import shares, staged, stepwise
from .solver import Solver, Update

TAU_MOST = 3.0
"""e^{(1 + tau^2) y} has to stay in the range of a float, up to y = 70 that is log-SNR 140."""


def sde_form(excess: Clock, slope: Clock) -> Form:
    """The form whose phi is u e^excess; `slope` is d excess / d y. It must fall with y."""

    def at(level: Level) -> float:
        return float(excess(torch.tensor(level.log_snr / 2, dtype=torch.float64)))

    def gauge(level: Level) -> Coefficient:
        return level.sigma * math.exp(at(level))

    def clock(y: torch.Tensor) -> torch.Tensor:
        return (y - excess(y)).exp()

    def fresh(here: Level, to: Level) -> Coefficient:
        return to.sigma * sqrt(-expm1(2 * (at(to) - at(here))))

    return Form(gauge, lambda level: (1.0, 0.0), clock, lambda y: (1 - slope(y)) * clock(y), fresh)


def tau_form(tau: float) -> Form:
    """phi = u^{1 + tau^2} (Xue et al. 2023): tau = 0 the flow, 1 the reverse SDE. ValueError outside [0, 3]."""
    if not 0 <= tau <= TAU_MOST:
        raise ValueError(
            f"tau={tau}; give a number from 0 (deterministic) to {TAU_MOST:g}; 1 is the reverse SDE"
        )
    power = tau * tau
    form = sde_form(lambda y: -power * y, lambda y: torch.full_like(y, -power))
    return form if tau else replace(form, fresh=None)


def _extended() -> Form:
    """phi = u (exp(u^0.3) + 10), the scaling that Cui et al. 2023 settle on (ER SDE 5)."""
    least = math.log(10)

    def excess(y: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp((-0.3 * y).exp(), torch.full_like(y, least))

    def slope(y: torch.Tensor) -> torch.Tensor:
        growth = (-0.3 * y).exp()
        return -0.3 * growth * (growth - least).sigmoid()

    return sde_form(excess, slope)


def sa(order: int, tau: float = 1.0) -> Solver:
    """SA-Solver (Xue et al. 2023): the predictor has the last `order` x0, the corrector these and the one after them.

    Both are polynomials in log-SNR. With tau = 0 it is x0ab{order}c, and draws nothing.
    """
    form = tau_form(tau)
    plan = multistep(form, adams(form, order, "log_snr"), adams(form, order, "log_snr", ahead=1))
    name = f"sa{order}" + ("" if tau == 1 else f":{tau:g}")
    return Solver(name, plan, order=2 if tau else order + 1, stochastic=tau > 0)


def er_sde(order: int) -> Solver:
    """ER-SDE-Solver (Cui et al. 2023): the polynomial through the last `order` x0 is one in u = sigma/alpha."""
    form = _extended()
    return Solver(
        f"er_sde{order}", multistep(form, adams(form, order, "u")), min(order, 2), stochastic=True
    )


def _dpmpp2m(half: Sequence[float], i: int) -> list[float]:
    """x0 extrapolated from the last two to the middle of the step, for phi = u^2."""
    h = half[i + 1] - half[i]
    gain = -math.exp(2 * half[i + 1]) * math.expm1(-2 * h)
    if i == 0:
        return [gain]
    bend = gain * h / (half[i] - half[i - 1]) / 2
    return [gain + bend, -bend]


def _between_std(to: Level, here: Level, there: Level) -> Coefficient:
    """The share of x_to's noise that is drawn from `here` to `there`: alpha_to sqrt(u_here^2 - u_there^2)."""
    return added_noise_std(to.alpha * here.sigma / here.alpha, there, here)


def _doubled(to: Level, here: Level) -> Coefficient:
    """What multiplies eps, beside alpha_to x0, when the slope d(x/alpha)/du = 2 eps does not change from here on."""
    return 2 * to.sigma - to.alpha * here.sigma / here.alpha


def _seeds2(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
    """The midpoint rule in lambda, and what the middle has drawn is part of the step's noise."""
    (middle,), reached = way, to.alpha * here.sigma / here.alpha  # alpha_s u_t
    first, second = _between_std(to, here, middle), _between_std(to, middle, to)
    begun, noise = ((to.alpha, reached),), (_between_std(middle, here, middle),)
    return [
        Update(
            middle,
            x0=middle.alpha,
            eps=_doubled(middle, here),
            store=begun,
            noise=noise,
            stage=True,
        ),
        Update(to, eps=2 * (to.sigma - reached), history_weights=(1.0,), noise=(second, first)),
    ]


def _seeds3(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
    """DPM-Solver-3 with twice its slopes, at 1/3 and 2/3 of the way in lambda, and three draws."""
    one, two = way
    h = (to.log_snr - here.log_snr) / 2
    bend = -4 * two.sigma * (expm1(2 * h / 3) / (2 * h / 3) - 1)  # times (eps at 1/3 - eps)
    last = -3 * to.sigma * (expm1(h) / h - 1)  # times (eps at 2/3 - eps)
    begun = ((to.alpha, _doubled(to, here) - last), (two.alpha, _doubled(two, here) - bend))
    to_one, to_two, end = (
        _noises(level, here, [one, two, to][:n]) for n, level in enumerate((one, two, to), 1)
    )
    return [
        Update(one, x0=one.alpha, eps=_doubled(one, here), store=begun, noise=to_one, stage=True),
        Update(two, eps=bend, history_weights=(1.0,), noise=to_two, stage=True),
        Update(to, eps=last, history_weights=(0.0, 1.0), noise=end),
    ]


def _noises(to: Level, here: Level, way: Sequence[Level]) -> tuple[Coefficient, ...]:
    """How x_to holds the draws made along the way, newest first."""
    return tuple(_between_std(to, a, b) for a, b in pairwise([here, *way]))[::-1]


def euler_maruyama(eta: float = 1.0) -> Solver:
    """dx = (f x - (1 + eta^2)/2 g^2 score) dt + eta g dw by Euler-Maruyama in t, backwards (Song et al. 2021).

    eta = 1 is the reverse SDE, 0 the probability flow, anything beyond draws more. ValueError for a negative eta.
    """
    _check_eta(eta)

    def step(here: Level, to: Level) -> list[Update]:
        stride = here.t - to.t
        pull = (
            stride * (1 + eta * eta) / 2 * here.diffusion / here.sigma
        )  # g^2 score = -g^2 eps / sigma
        noise = (eta * sqrt(stride * here.diffusion),) if eta else ()
        return [Update(to, state=1 - stride * here.drift, eps=-pull, noise=noise)]

    name = "euler_maruyama" if eta == 1 else f"euler_maruyama:{eta:g}"
    return Solver(name, stepwise(step), stochastic=eta > 0)


def reverse_diffusion(eta: float = 1.0) -> Solver:
    """The forward kernel x_t = a x_s + b z, turned round as one turns an SDE (Song et al. 2021, appendix E):

        x_s = (2 - a) x_t + (1 + eta^2)/2 b^2 score + eta b z

    eta = 1 is the published reverse-diffusion predictor on `vp` and `ve`, 0 its probability flow. On the other splits a
    and b are those of the exact kernel too. ValueError for a negative eta.
    """
    _check_eta(eta)

    def step(here: Level, to: Level) -> list[Update]:
        b = added_noise_std(here.sigma, to, here)
        pull = (1 + eta * eta) / 2 * b * b / here.sigma  # score = -eps / sigma
        return [
            Update(to, state=2 - here.alpha / to.alpha, eps=-pull, noise=(eta * b,) if eta else ())
        ]

    name = "reverse_diffusion" if eta == 1 else f"reverse_diffusion:{eta:g}"
    return Solver(name, stepwise(step), stochastic=eta > 0)


def _check_eta(eta: float) -> None:
    if not 0 <= eta < math.inf:
        raise ValueError(
            f"eta={eta}; give a finite number, 0 (deterministic) or more; 1 is the reverse SDE"
        )


def _ddpm_large(here: Level, to: Level) -> list[Update]:
    """The mean of q(x_s | x_t, x0) and the variance of q(x_t | x_s), which is beta between neighbours of DDPM."""
    shared = exp(here.log_snr_minus(to) / 2)
    return [
        Update(
            to, x0=to.alpha, eps=to.sigma * shared, noise=(added_noise_std(here.sigma, to, here),)
        )
    ]


def _ddpm_learned(here: Level, to: Level) -> list[Update]:
    """The same mean, with a variance between that of ddpm and that of ddpm_large, as the model has learned it."""
    (move,) = _ddpm_large(here, to)
    return [
        replace(
            move,
            noise=(),
            std_range=(added_noise_std(to.sigma, to, here), added_noise_std(here.sigma, to, here)),
        )
    ]


REVERSE = tau_form(1.0)
DDPM_LARGE = Solver("ddpm_large", stepwise(_ddpm_large), stochastic=True)
DDPM_LEARNED = Solver("ddpm_learned", stepwise(_ddpm_learned), stochastic=True)
SDE_DPMPP2M = Solver("sde_dpmpp2m", multistep(REVERSE, each(_dpmpp2m)), order=2, stochastic=True)
SDE_DPMPP3M = Solver(
    "sde_dpmpp3m", multistep(REVERSE, adams(REVERSE, 3, "log_snr")), order=2, stochastic=True
)
SEEDS2 = Solver("seeds2", staged(shares(1 / 2), _seeds2), order=2, stochastic=True)
SEEDS3 = Solver("seeds3", staged(shares(1 / 3, 2 / 3), _seeds3), order=2, stochastic=True)
