"""PNDM and DEIS: Adams-Bashforth in the eps form.

PLMS, the multistep method of PNDM (Liu et al. 2022), has the weights of equal steps, whatever the
steps are. DEIS (tAB, Zhang & Chen 2023) integrates a polynomial in t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .flow_forms import FLOW_FORMS
from .multistep import exponential_adams, multistep
from .quadrature_rules import per_step
from .solver import Solver

_EQUAL_STEP_WEIGHTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def _plms_weights(lam: Sequence[float], i: int) -> list[float]:
    """Liu et al. 2022, eq. 12; the first steps are of lower order."""
    step = math.exp(-lam[i + 1]) - math.exp(-lam[i])
    return [step * weight for weight in _EQUAL_STEP_WEIGHTS[min(i, 3)]]


PLMS = Solver("plms", multistep(FLOW_FORMS["eps"], per_step(_plms_weights)), order=1)

DEIS = tuple(
    replace(exponential_adams("eps", order, "t", corrected=False), name=f"deis{order}")
    for order in (1, 2, 3, 4)
)
