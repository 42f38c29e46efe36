"""Every solver by name."""

from __future__ import annotations

from dataclasses import replace

from ..names import pick
from .multistep import exponential_adams
from .plan import Solver
from .published import PUBLISHED
from .steps import SINGLE, ddim

VARIABLES = {"x0": "log_snr", "eps": "log_snr", "v": "clock", "flow": "clock"}
"""In which variable the slope of a form is taken for a polynomial."""
ADAMS = [
    exponential_adams(form, k, VARIABLES[form], c) for form in VARIABLES for k in (1, 2, 3, 4) for c in (False, True)
]

SOLVERS: dict[str, Solver] = {**SINGLE, **PUBLISHED, **{solver.name: solver for solver in ADAMS}}
SOLVERS["auto"] = replace(SOLVERS["vab4c"], name="auto", spacing="angle")
"""auto: what `python -m benchmarks solvers` shows to be most robust, with its grid. vab3 is Adams-Bashforth of order 3 in
the v form, vab3c the same with correction."""


def solver_named(name: str | Solver) -> Solver:
    """The solver of this name; "ddim:0.5" is DDIM with eta = 0.5. ValueError with the closest name otherwise."""
    if isinstance(name, Solver):
        return name
    if name.startswith("ddim:"):
        try:
            return ddim(float(name.removeprefix("ddim:")))
        except ValueError as error:
            raise ValueError(f"solver {name!r}: after 'ddim:' comes eta, a number from 0 to 1") from error
    return pick("solver", name, SOLVERS)
