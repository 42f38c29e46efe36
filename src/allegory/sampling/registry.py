"""Every solver by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..lookup import pick
from .auto import AUTO
from .churn import CHURN, Churn, churn
from .dpm_solver import PUBLISHED
from .mcmc.langevin import Langevin
from .multistep import exponential_adams
from .predictor_corrector import ANNEALED, NCSN2, annealed, corrector_named, predictor_corrector
from .runge_kutta import RUNGE_KUTTA
from .single_step import SINGLE, ddim
from .solver import Solver
from .stochastic import STOCHASTIC, euler_maruyama, reverse_diffusion, sa

VARIABLES = {"x0": "log_snr", "eps": "log_snr", "v": "clock", "flow": "clock"}
"""In which variable the slope of a form is taken for a polynomial."""
ADAMS = [
    exponential_adams(form, k, VARIABLES[form], c)
    for form in VARIABLES
    for k in (1, 2, 3, 4)
    for c in (False, True)
]

SOLVERS: dict[str, Solver] = {
    **SINGLE,
    **PUBLISHED,
    **STOCHASTIC,
    **CHURN,
    **RUNGE_KUTTA,
    **{solver.name: solver for solver in ADAMS},
    **ANNEALED,
    "pc": predictor_corrector(STOCHASTIC["reverse_diffusion"], corrector_named("langevin"), "pc"),
    "auto": AUTO,
}
"""vab3 is Adams-Bashforth of order 3 in the v form, vab3c the same with correction. pc is reverse_diffusion+langevin."""

PARAMETERS: dict[str, tuple[Callable[[float], Solver], str]] = {
    "ddim": (ddim, "eta, a number from 0 to 1"),
    "euler_maruyama": (euler_maruyama, "eta, a number, 0 or more"),
    "reverse_diffusion": (reverse_diffusion, "eta, a number, 0 or more"),
    "ncsn2": (
        lambda step: annealed(Langevin(step, NCSN2.count), f"ncsn2:{step:g}"),
        "step, a number above 0",
    ),
    "sa2": (partial(sa, 2), "tau, a number from 0 to 3"),
    "sa3": (partial(sa, 3), "tau, a number from 0 to 3"),
    "churn": (lambda s_churn: churn(Churn(s_churn)), "s_churn, a number, 0 or more"),
}
"""What may follow a name and a colon."""


def solver_named(name: str | Solver) -> Solver:
    """The solver of this name; "ddim:0.5" is DDIM with eta = 0.5, "sa3:0.4" SA-Solver with tau = 0.4.

    "heun+langevin:0.2" is a predictor and a corrector (`correct.py`). ValueError with the closest name otherwise.
    """
    if isinstance(name, Solver):
        return name
    predictor, plus, corrector = name.partition("+")
    if plus:
        return predictor_corrector(solver_named(predictor), corrector_named(corrector), name)
    kind, colon, value = name.partition(":")
    if not colon or kind not in PARAMETERS or name in SOLVERS:
        return pick("solver", name, SOLVERS)
    make, meaning = PARAMETERS[kind]
    try:
        return make(float(value))
    except ValueError as error:
        raise ValueError(f"solver {name!r}: after '{kind}:' comes {meaning}") from error
