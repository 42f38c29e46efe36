r"""Multistep methods whose papers give the coefficients, as rules for the forms of `multistep.py`.

DPM-Solver++ and UniPC work in the x0 form, where one step of h in lambda = log(alpha/sigma) is

    x_s = sigma_s/sigma_t x_t + alpha_s h phi_1(-h) x0_t + corrections,    phi_k(z) = int_0^1 e^{(1-r) z} r^{k-1}/(k-1)! dr

DPM-Solver++(3M) is the exact integral of the quadratic through the last three x0, which is Adams-Bashforth of order 3 in
that form. (Its published code takes h^2 x0''/2 for h^2 x0'' and is of second order.) PLMS is Adams-Bashforth for equal
steps in the eps form, whatever the steps are. DEIS (Zhang & Chen 2023, tAB) is Adams-Bashforth in the eps form whose
polynomial is one in t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..lookup import pick
from .multistep import FORMS, Rule, adams, each, exponential_adams, multistep
from .solver import Solver

PLMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def _plms(half: Sequence[float], i: int) -> list[float]:
    """Liu et al. 2022 (PNDM), eq. 12, after as many steps of lower order as there are predictions."""
    stride = math.exp(-half[i + 1]) - math.exp(-half[i])
    return [stride * w for w in PLMS[min(i, 3)]]


def _step(half: Sequence[float], i: int) -> tuple[float, float]:
    """h, and alpha_s/sigma_s: what an x0 weight of the step is counted in."""
    return half[i + 1] - half[i], math.exp(half[i + 1])


def _dpmpp2m(half: Sequence[float], i: int) -> list[float]:
    """Lu et al. 2022, DPM-Solver++(2M): x0 extrapolated from the last two to the middle of the step."""
    h, scale = _step(half, i)
    gain = -scale * math.expm1(-h)
    if i == 0:
        return [gain]
    bend = gain * h / (half[i] - half[i - 1]) / 2
    return [gain + bend, -bend]


def _unipc(order: int, bh: str, ahead: bool) -> Rule:
    """Zhao et al. 2023 (UniPC): UniP of this order, or with `ahead` UniC, which knows the slope at node i + 1.

    sum_k rho_k r_k^{n-1} = n! h phi_{n+1}(h)/B(h) for n = 1, 2, ..., with B(h) = h (bh1) or e^h - 1 (bh2).
    """

    def rule(half: Sequence[float], i: int) -> list[float]:
        h, scale = _step(half, i)
        others = ([i + 1] if ahead else []) + [i - k for k in range(1, min(order, i + 1))]
        r = np.array([(half[j] - half[i]) / h for j in others])
        B = -h if bh == "bh1" else math.expm1(-h)
        change: list[float] = (-scale * B * _rho(r, _moments(-h, len(others)) / B) / r).tolist()
        change.insert(int(ahead), -scale * math.expm1(-h) - sum(change))
        return change

    return each(rule)


def _rho(r: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares of the differences; one difference has 1/2 whatever h, as in the paper."""
    if len(r) < 2:
        return np.full(len(r), 0.5)
    return np.asarray(np.linalg.solve(r ** np.arange(len(r))[:, None], moments), dtype=np.float64)


def _moments(z: float, count: int) -> NDArray[np.float64]:
    """n! z phi_{n+1}(z) for n = 1 to count, by phi_{n+1} = (phi_n - 1/n!)/z."""
    phi, found = math.expm1(z) / z - 1, []
    for n in range(1, count + 1):
        found.append(phi * math.factorial(n))
        phi = phi / z - 1 / math.factorial(n + 1)
    return np.array(found)


def unipc(order: int, bh: str = "bh2") -> Solver:
    """UniPC of this order: predictor and corrector, of order + 1 together. bh is bh1 or bh2."""
    pick("bh", bh, dict.fromkeys(("bh1", "bh2")))
    x0 = FORMS["x0"]
    name = f"unipc{order}" + ("" if bh == "bh2" else f":{bh}")
    return Solver(name, multistep(x0, _unipc(order, bh, False), _unipc(order, bh, True)), order + 1)


DPMPP2M = Solver("dpmpp2m", multistep(FORMS["x0"], each(_dpmpp2m)), order=2)
DPMPP3M = Solver("dpmpp3m", multistep(FORMS["x0"], adams(FORMS["x0"], 3, "log_snr")), order=3)
PLMS_SOLVER = Solver("plms", multistep(FORMS["eps"], each(_plms)), order=1)
DEIS = [
    replace(exponential_adams("eps", order, "t", False), name=f"deis{order}")
    for order in (1, 2, 3, 4)
]
