r"""The solver "auto": the most robust of the benchmarks for few evaluations.

Adams-Bashforth in the v form with a corrector, on the `angle` grid, whose turn goes by the numbers
of an item. The order rises with the number of steps; below 8 there is no corrector, because steps
are so long there that a correction adds more error than it removes. All was chosen on one half of
the problems of `benchmarks.problems`; `python -m benchmarks solvers` gives the figures of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..process.path import Level
from .flow_forms import FLOW_FORMS
from .multistep import multistep
from .quadrature_rules import WeightRule, adams_rule
from .solver import Solver, Update

AUTO_FORM = FLOW_FORMS["v"]

MAX_ORDER = 5
"""The highest order of a predictor of `auto`."""

_STEPS_FOR_CORRECTOR = 8
_ORDER_WITHOUT_CORRECTOR = 3
_STEPS_FOR_ORDER = {40: 5, 25: 4, 14: 3, _STEPS_FOR_CORRECTOR: 2}
"""From how many steps on the predictor, with its corrector, is of which order."""


def auto_rules(steps: int) -> tuple[WeightRule, WeightRule | None]:
    """The predictor and, from 8 steps on, the corrector for so many steps."""
    if steps < _STEPS_FOR_CORRECTOR:
        return adams_rule(AUTO_FORM, _ORDER_WITHOUT_CORRECTOR, "form_time"), None

    order = next(order for least, order in _STEPS_FOR_ORDER.items() if steps >= least)
    predictor = adams_rule(AUTO_FORM, order, "form_time")
    return predictor, adams_rule(AUTO_FORM, order, "form_time", implicit=True)


def _plan(levels: Sequence[Level]) -> list[Update]:
    predictor, corrector = auto_rules(len(levels) - 1)
    return multistep(AUTO_FORM, predictor, corrector, reaches_ends=True)(levels)


AUTO = Solver("auto", _plan, MAX_ORDER, spacing="angle")
