r"""DPM-Solver++ as a multistep method, for the flow and for the reverse SDE (Lu et al. 2022).

In the x0 form one step of h in lambda = log(alpha/sigma) is

    x_s = sigma_s/sigma_t x_t + alpha_s h phi_1(-h) x0_t + corrections,
    phi_k(z) = int_0^1 e^{(1-r) z} r^{k-1}/(k-1)! dr

2M extrapolates x0 to the middle of the step. 3M is the exact integral of the quadratic through the
last three x0, which is Adams-Bashforth of order 3 in that form. (Its published code takes h^2
x0''/2 for h^2 x0'' and is of second order.) Both carry over to the reverse SDE, whose form is that
of `sde_multistep` with tau = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .flow_forms import FLOW_FORMS
from .multistep import multistep
from .quadrature_rules import adams_rule, per_step
from .sde_multistep import tau_form
from .solver import Solver


def _second_order(gain: float, h: float, before: float) -> list[float]:
    """Weights of the last two x0, extrapolated to the middle of a step h after one of `before`."""
    change = gain * h / before / 2
    return [gain + change, -change]


def dpmpp2m_weights(lam: Sequence[float], i: int) -> list[float]:
    """The weights of DPM-Solver++(2M) in the x0 form (Lu et al. 2022, algorithm 2).

    Args:
        lam: lambda of all nodes.
        i: the step.
    """
    h = lam[i + 1] - lam[i]
    gain = -math.exp(lam[i + 1]) * math.expm1(-h)
    return [gain] if i == 0 else _second_order(gain, h, lam[i] - lam[i - 1])


def _sde_weights(lam: Sequence[float], i: int) -> list[float]:
    """The same in the form of the reverse SDE, whose time is e^{2 lambda}."""
    h = lam[i + 1] - lam[i]
    gain = -math.exp(2 * lam[i + 1]) * math.expm1(-2 * h)
    return [gain] if i == 0 else _second_order(gain, h, lam[i] - lam[i - 1])


_X0 = FLOW_FORMS["x0"]
_REVERSE_SDE = tau_form(1.0)

DPMPP2M = Solver("dpmpp2m", multistep(_X0, per_step(dpmpp2m_weights)), order=2)
DPMPP3M = Solver("dpmpp3m", multistep(_X0, adams_rule(_X0, 3, "log_snr")), order=3)

SDE_DPMPP2M = Solver(
    "sde_dpmpp2m", multistep(_REVERSE_SDE, per_step(_sde_weights)), order=2, stochastic=True
)
SDE_DPMPP3M = Solver(
    "sde_dpmpp3m",
    multistep(_REVERSE_SDE, adams_rule(_REVERSE_SDE, 3, "log_snr")),
    order=2,
    stochastic=True,
)
