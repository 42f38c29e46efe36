r"""The solver "auto": the most robust of the benchmarks for few evaluations.

Adams-Bashforth in the v form, on the `angle` grid: of order 4 with a corrector; from 40 steps on of
order 5; in fewer than 14 steps of order 3 without a corrector, because steps are so long there that
a correction adds more error than it removes. `python -m benchmarks solvers` and `python -m
benchmarks peers` give the figures.
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

_STEPS_FOR_CORRECTOR = 14
_STEPS_FOR_MAX_ORDER = 40


def auto_rules(steps: int) -> tuple[WeightRule, WeightRule | None]:
    """The predictor and, from 14 steps on, the corrector for so many steps."""
    if steps < _STEPS_FOR_CORRECTOR:
        return adams_rule(AUTO_FORM, 3, "form_time"), None

    order = 4 if steps < _STEPS_FOR_MAX_ORDER else MAX_ORDER
    predictor = adams_rule(AUTO_FORM, order, "form_time")
    return predictor, adams_rule(AUTO_FORM, order, "form_time", implicit=True)


def _plan(levels: Sequence[Level]) -> list[Update]:
    predictor, corrector = auto_rules(len(levels) - 1)
    return multistep(AUTO_FORM, predictor, corrector, reaches_ends=True)(levels)


AUTO = Solver("auto", _plan, MAX_ORDER, spacing="angle")
