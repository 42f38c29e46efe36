r"""Multistep methods for the reverse SDE: SA-Solver and ER-SDE-Solver, as forms of `multistep`.

With u = sigma/alpha and lambda = log(alpha/sigma), each SDE that has the path's marginals has a
function phi(u) by which (Cui et al. 2023)

    x_s/(alpha_s phi_s) = x_t/(alpha_t phi_t) + int x0 d(1/phi) + noise
    noise of x_s:  alpha_s sqrt(u_s^2 - u_t^2 (phi_s/phi_t)^2) z.

phi(u) = u is the probability flow and has no noise; the faster phi/u grows, the more there is. So
an SDE is a form whose time is 1/phi, with one draw per step, and the rules of quadrature are those
of the flow. It is given by excess(lambda) = log(phi/u):

    scale = sigma e^excess            time = e^{lambda - excess}
    noise = sigma_s sqrt(-expm1(2 excess_s - 2 excess_t))

    SA-Solver        u^{1 + tau^2}        excess = -tau^2 lambda                    Xue et al. 2023
    SDE-DPM-Solver++ u^2                  the same with tau = 1                     Lu et al. 2022
    ER-SDE-Solver    u (exp(u^0.3) + 10)  excess = log(exp(e^{-0.3 lambda}) + 10)   Cui et al. 2023

tau = 1 is the reverse SDE of Song et al. 2021, and its first order is DDPM. The corrector of
SA-Solver integrates the last step again with the same draw, so it changes the weights of the slopes
and nothing else.

Orders are weak orders, of the mean and the variance of a Gaussian. A step of Adams-Bashforth does
not know how x0 will follow the step's own draw; the error caused by the draw of one step is
compensated by the next step to second weak order. More predictions make the constant smaller, not
the order higher.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ..process.coefficients import Coefficient, expm1, sqrt
from ..process.path import Level
from .flow_forms import FlowForm, LambdaFunction
from .multistep import multistep
from .quadrature_rules import adams_rule
from .solver import Solver

_LARGEST_TAU = 3.0
"""e^{(1 + tau^2) lambda} stays in the range of a float up to lambda = 70, which is log-SNR 140."""


def sde_form(excess: LambdaFunction, slope: LambdaFunction) -> FlowForm:
    """The form of the SDE with phi = u e^excess (Cui et al. 2023).

    Args:
        excess: log(phi/u) as a function of lambda; it falls.
        slope: its derivative.
    """

    def at(level: Level) -> float:
        return float(excess(torch.tensor(level.log_snr / 2, dtype=torch.float64)))

    def scale(level: Level) -> Coefficient:
        return level.sigma * math.exp(at(level))

    def time(lam: torch.Tensor) -> torch.Tensor:
        return (lam - excess(lam)).exp()

    def dtime_dlambda(lam: torch.Tensor) -> torch.Tensor:
        return (1 - slope(lam)) * time(lam)

    def noise_std(here: Level, to: Level) -> Coefficient:
        return to.sigma * sqrt(-expm1(2 * (at(to) - at(here))))

    return FlowForm(scale, lambda level: (1.0, 0.0), time, dtime_dlambda, noise_std)


def tau_form(tau: float) -> FlowForm:
    """phi = u^{1 + tau^2}, tau from 0 (the flow) to 3; 1 is the reverse SDE (Xue et al. 2023)."""
    if not 0 <= tau <= _LARGEST_TAU:
        raise ValueError(
            f"tau={tau}; give a number from 0 (deterministic) to {_LARGEST_TAU:g}; "
            "1 is the reverse SDE"
        )
    power = tau * tau
    form = sde_form(lambda lam: -power * lam, lambda lam: torch.full_like(lam, -power))
    return form if tau else replace(form, noise_std=None)


def _extended_reverse_form() -> FlowForm:
    """phi = u (exp(u^0.3) + 10), the noise scaling that Cui et al. 2023 choose (ER SDE 5)."""
    log_10 = math.log(10)

    def excess(lam: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp((-0.3 * lam).exp(), torch.full_like(lam, log_10))

    def slope(lam: torch.Tensor) -> torch.Tensor:
        growth = (-0.3 * lam).exp()
        return -0.3 * growth * (growth - log_10).sigmoid()

    return sde_form(excess, slope)


def sa(order: int, tau: float = 1.0) -> Solver:
    """SA-Solver (Xue et al. 2023), whose polynomials are in log-SNR.

    Args:
        order: predictions that the predictor uses; the corrector uses these and the next one.
        tau: how much noise, from 0 (deterministic, equal to x0ab{order}c) to 3; 1 is the reverse
            SDE.

    Returns:
        The solver.

    Raises:
        ValueError: for tau outside [0, 3].
    """
    form = tau_form(tau)
    predictor = adams_rule(form, order, "log_snr")
    corrector = adams_rule(form, order, "log_snr", implicit=True)

    name = f"sa{order}" + ("" if tau == 1 else f":{tau:g}")
    plan = multistep(form, predictor, corrector)
    return Solver(name, plan, order=2 if tau else order + 1, stochastic=tau > 0)


def er_sde(order: int) -> Solver:
    """ER-SDE-Solver: a polynomial in sigma/alpha through the last `order` x0 (Cui et al. 2023)."""
    form = _extended_reverse_form()
    plan = multistep(form, adams_rule(form, order, "u"))
    return Solver(f"er_sde{order}", plan, min(order, 2), stochastic=True)
