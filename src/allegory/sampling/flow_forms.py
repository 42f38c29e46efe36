r"""Forms of the probability flow: an ODE with one linear combination of the prediction.

With z = x/g and a time c, each form writes the flow as dz/dc = F, where F is a combination a x0 + b
eps:

    form   g                     c                       F = dz/dc                  exact where
    x0     sigma                 alpha/sigma             x0                         x0 is constant
    eps    alpha                 sigma/alpha             eps                        eps is constant
    v      hypot(alpha, sigma)   atan(sigma/alpha)       (alpha eps - sigma x0)/g   data N(0, I)
    flow   alpha + sigma         sigma/(alpha + sigma)   eps - x0                   both constant

The x0 form is that of DPM-Solver++ (Lu et al. 2022), the eps form that of DDIM and DEIS. Levels are
given by lambda = log(alpha/sigma), half the log-SNR, as in DPM-Solver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.coefficients import Coefficient
from ..process.path import Level

LambdaFunction = Callable[[Tensor], Tensor]
"""A function of lambda = log(alpha/sigma), number by number."""

_LARGEST_LAMBDA = 16.0
"""Takes the place of an infinite lambda; alpha or sigma is 1e-7 there."""


@dataclass(frozen=True)
class FlowForm:
    """One form of the probability flow, or of an SDE with its marginals.

    Args:
        scale: the integrating factor g of a Level.
        slope: the coefficients (a, b) of F = a x0 + b eps at a Level.
        time: c as a function of lambda.
        dtime_dlambda: its derivative.
        noise_std: for the form of an SDE, the standard deviation of what is drawn from one Level to
            the next; None for the flow.
    """

    scale: Callable[[Level], Coefficient]
    slope: Callable[[Level], tuple[Coefficient, Coefficient]]
    time: LambdaFunction
    dtime_dlambda: LambdaFunction
    noise_std: Callable[[Level, Level], Coefficient] | None = None


def _v_slope(level: Level) -> tuple[Coefficient, Coefficient]:
    return -level.sigma / level.marginal_std, level.alpha / level.marginal_std


FLOW_FORMS: dict[str, FlowForm] = {
    "x0": FlowForm(
        scale=lambda level: level.sigma,
        slope=lambda level: (1.0, 0.0),
        time=torch.exp,
        dtime_dlambda=torch.exp,
    ),
    "eps": FlowForm(
        scale=lambda level: level.alpha,
        slope=lambda level: (0.0, 1.0),
        time=lambda lam: (-lam).exp(),
        dtime_dlambda=lambda lam: -(-lam).exp(),
    ),
    "v": FlowForm(
        scale=lambda level: level.marginal_std,
        slope=_v_slope,
        time=lambda lam: (-lam).exp().atan(),
        dtime_dlambda=lambda lam: -0.5 / lam.cosh(),
    ),
    "flow": FlowForm(
        scale=lambda level: level.alpha + level.sigma,
        slope=lambda level: (-1.0, 1.0),
        time=lambda lam: (-lam).sigmoid(),
        dtime_dlambda=lambda lam: -0.25 / (lam / 2).cosh() ** 2,
    ),
}
"""The four forms by name."""

LAMBDA_OF_TIME: dict[str, LambdaFunction] = {
    "x0": torch.log,
    "eps": lambda time: -time.log(),
    "v": lambda time: -time.tan().log(),
    "flow": lambda time: -time.logit(),
}
"""lambda as a function of each form's time."""


@dataclass(frozen=True, eq=False)
class LambdaNodes:
    """The Levels of a grid with their lambda.

    Args:
        levels: the Levels.
        lam: their lambda = log(alpha/sigma), float64, finite.
    """

    levels: tuple[Level, ...]
    lam: Float[Tensor, " n"]

    @classmethod
    def of(cls, levels: Sequence[Level]) -> LambdaNodes:
        """The nodes of these levels; a large lambda takes the place of an infinite one."""
        lam = torch.tensor([level.log_snr for level in levels], dtype=torch.float64) / 2
        finite = lam[lam.isfinite()].abs()
        largest = max(_LARGEST_LAMBDA, finite.max().item() + 1 if len(finite) else 0.0)

        return cls(tuple(levels), torch.where(lam.isinf(), lam.sign() * largest, lam))
