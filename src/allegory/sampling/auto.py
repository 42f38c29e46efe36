r"""The default of those who want few evaluations: what the benchmark shows to be most robust, as one solver.

Adams-Bashforth in the v form, on the `angle` grid: of order 4 with correction; from 40 steps on of order 5; in fewer than
14 of order 3 and without, because steps are so long there that a correction adds more than it takes away.
`python -m benchmarks solvers` and `python -m benchmarks peers` measure it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..process.path import Level
from .multistep import FORMS, Rule, adams, multistep
from .solver import Solver, Update

FORM, FEW, MANY, MOST = FORMS["v"], 14, 40, 5
"""Numbers of steps at which the rule changes, and the highest order."""


def rules(steps: int) -> tuple[Rule, Rule | None]:
    """The predictor and, where it pays, the corrector for so many steps."""
    if steps < FEW:
        return adams(FORM, 3, "clock"), None
    order = 4 if steps < MANY else MOST
    return adams(FORM, order, "clock"), adams(FORM, order, "clock", ahead=1)


def _plan(levels: Sequence[Level]) -> list[Update]:
    return multistep(FORM, *rules(len(levels) - 1), whole=True)(levels)


AUTO = Solver("auto", _plan, MOST, spacing="angle")
