r"""UniPC: a unified predictor-corrector (Zhao et al. 2023).

In the x0 form, with r_k the other nodes in units of the step h, the weights rho_k of the
differences solve

    sum_k rho_k r_k^{n-1} = n! h phi_{n+1}(h)/B(h)   for n = 1, 2, ...,
    B(h) = h (bh1) or e^h - 1 (bh2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..lookup import pick
from .flow_forms import FLOW_FORMS
from .multistep import multistep
from .quadrature_rules import WeightRule, per_step
from .solver import Solver


def unipc_rule(order: int, bh: str, implicit: bool) -> WeightRule:
    """UniP, or with `implicit` UniC, which uses the slope at node i + 1 too (Zhao et al. 2023).

    Args:
        order: of the predictor.
        bh: "bh1" or "bh2", the choice of B(h).
        implicit: whether it is the corrector.
    """

    def weights(lam: Sequence[float], i: int) -> list[float]:
        h = lam[i + 1] - lam[i]
        scale = math.exp(lam[i + 1])  # alpha_s/sigma_s
        newer = [i + 1] if implicit else []
        older = [i - k for k in range(1, min(order, i + 1))]

        r = np.array([(lam[j] - lam[i]) / h for j in newer + older])
        B = -h if bh == "bh1" else math.expm1(-h)
        rho = _solve_rho(r, _moments(-h, len(r)) / B)
        change: list[float] = (-scale * B * rho / r).tolist()

        own = -scale * math.expm1(-h) - sum(change)  # of the slope at node i
        change.insert(len(newer), own)
        return change

    return per_step(weights)


def _solve_rho(r: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights of the differences; a single one has 1/2 whatever h, as in the paper."""
    if len(r) < 2:
        return np.full(len(r), 0.5)
    powers = r ** np.arange(len(r))[:, None]
    return np.asarray(np.linalg.solve(powers, moments), dtype=np.float64)


def _moments(z: float, count: int) -> NDArray[np.float64]:
    """n! z phi_{n+1}(z) for n = 1 to count, by phi_{n+1} = (phi_n - 1/n!)/z."""
    phi = math.expm1(z) / z - 1
    moments = []
    for n in range(1, count + 1):
        moments.append(phi * math.factorial(n))
        phi = phi / z - 1 / math.factorial(n + 1)
    return np.array(moments)


def unipc(order: int, bh: str = "bh2") -> Solver:
    """UniPC, predictor and corrector, together of order + 1 (Zhao et al. 2023).

    Args:
        order: of the predictor.
        bh: "bh1" or "bh2", the choice of B(h).

    Returns:
        The solver.

    Raises:
        ValueError: for another bh.
    """
    pick("bh", bh, dict.fromkeys(("bh1", "bh2")))
    name = f"unipc{order}" + ("" if bh == "bh2" else f":{bh}")
    plan = multistep(FLOW_FORMS["x0"], unipc_rule(order, bh, False), unipc_rule(order, bh, True))
    return Solver(name, plan, order + 1)
