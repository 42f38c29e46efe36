"""The solvers by name, each with its paper, its order and its evaluations per step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..lookup import Registry
from .auto import AUTO
from .churn import Churn, churn, restart
from .dpm_solver import DPMPP2M, DPMPP3M, SDE_DPMPP2M, SDE_DPMPP3M
from .flow_map import flow_map_solver
from .mcmc.langevin import Langevin
from .multistep import exponential_adams
from .pndm_deis import DEIS, PLMS
from .predictor_corrector import CORRECTORS, NCSN, NCSN2, annealed, predictor_corrector
from .runge_kutta import RK3, RK4
from .sde import DDPM_LARGE, DDPM_LEARNED, euler_maruyama, reverse_diffusion
from .sde_multistep import er_sde, sa
from .seeds import SEEDS2, SEEDS3
from .single_step import DDPM, DPMPP2S, DPMPP3S, EULER, HEUN, MIDPOINT, ddim
from .solver import Solver
from .unipc import unipc

SOLVERS: Registry[Solver] = Registry("solver")
"""The solvers by name; a number of the method may follow a colon, as in "ddim:0.5"."""


def _add(
    solver: Solver, help: str, make: Callable[[float], Solver] | None = None, parameter: str = ""
) -> None:
    SOLVERS.register(solver.name, solver, help, make=make, parameter=parameter)


_add(
    AUTO,
    "Adams-Bashforth in the v form, of an order that suits the number of steps; the most robust",
)

_add(
    replace(er_sde(3), name="auto:sde", spacing="angle"),
    "ER-SDE-Solver-3 on the grid of auto, the nearest of the stochastic ones in the benchmarks",
)

# One evaluation per step, no history
_add(
    ddim(),
    "DDIM, order 1; eta = 0 is deterministic, 1 is DDPM (Song et al. 2020, eq. 12)",
    ddim,
    "eta, a number from 0 to 1",
)
_add(DDPM, "ancestral sampling with variance beta-tilde, order 1, stochastic (Ho et al. 2020)")
_add(DDPM_LARGE, "ancestral sampling with variance beta, order 1, stochastic (Ho et al. 2020)")
_add(
    DDPM_LEARNED,
    "ancestral sampling with learned variance, order 1, stochastic (Nichol & Dhariwal 2021)",
)
_add(EULER, "Euler's method in t on the probability flow, order 1")

_add(
    flow_map_solver(),
    "jumps of a flow map, from `allegory distill`; gamma = 1 draws noise anew at each level "
    "(Song et al. 2023)",
    flow_map_solver,
    "gamma, a number from 0 to 1",
)

# Two and three evaluations per step
_add(HEUN, "trapezoidal rule, order 2, two evaluations per step (Karras et al. 2022)")
_add(
    MIDPOINT,
    "DPM-Solver-2, midpoint rule, order 2, two evaluations per step (Lu et al. 2022)",
)
_add(
    DPMPP2S,
    "DPM-Solver++(2S), order 2, two evaluations per step (Lu et al. 2022)",
)
_add(
    DPMPP3S,
    "DPM-Solver++(3S), order 3, three evaluations per step (Lu et al. 2022)",
)
_add(RK3, "Kutta's method of order 3 in the v form, three evaluations per step (Kutta 1901)")
_add(RK4, "Runge-Kutta method of order 4 in the v form, four evaluations per step (Kutta 1901)")

# Multistep methods, one evaluation per step
_add(DPMPP2M, "DPM-Solver++(2M), order 2, multistep (Lu et al. 2022)")
_add(DPMPP3M, "DPM-Solver++(3M), order 3, multistep (Lu et al. 2022)")
_add(PLMS, "PNDM, linear multistep with equal-step weights (Liu et al. 2022)")
for _solver in DEIS:
    _add(
        _solver,
        f"DEIS (tAB), order {_solver.order}, multistep (Zhang & Chen 2023)",
    )
for _bh in ("bh2", "bh1"):
    for _order in (1, 2, 3):
        _solver = unipc(_order, _bh)
        _add(
            _solver,
            f"UniPC with {_bh}, order {_solver.order}, predictor and corrector (Zhao et al. 2023)",
        )

# Stochastic multistep methods
_add(SDE_DPMPP2M, "SDE-DPM-Solver++(2M), order 2, stochastic, multistep (Lu et al. 2022)")
_add(SDE_DPMPP3M, "SDE-DPM-Solver++(3M), order 2, stochastic, multistep (Lu et al. 2022)")
for _order in (2, 3):
    _add(
        sa(_order),
        f"SA-Solver with {_order} predictions, order 2, stochastic; tau = 0 is deterministic "
        "(Xue et al. 2023)",
        partial(sa, _order),
        "tau, a number from 0 to 3",
    )
for _order in (1, 2, 3):
    _solver = er_sde(_order)
    _add(_solver, f"ER-SDE-Solver-{_order}, order {_solver.order}, stochastic (Cui et al. 2023)")
_add(SEEDS2, "SEEDS-2, order 2, stochastic, two evaluations per step (Gonzalez et al. 2023)")
_add(SEEDS3, "SEEDS-3, order 2, stochastic, three evaluations per step (Gonzalez et al. 2023)")
_add(
    euler_maruyama(),
    "Euler-Maruyama on the reverse SDE, order 1, stochastic (Song et al. 2021)",
    euler_maruyama,
    "eta, a number, 0 or more",
)
_add(
    reverse_diffusion(),
    "reverse-diffusion predictor, order 1, stochastic (Song et al. 2021, appendix E)",
    reverse_diffusion,
    "eta, a number, 0 or more",
)

# Noise is added again and removed
_add(
    churn(),
    "EDM's stochastic sampler, order 2, two evaluations per step (Karras et al. 2022, algorithm 2)",
    lambda s_churn: churn(Churn(s_churn)),
    "s_churn, a number, 0 or more",
)
_add(restart(), "Restart sampling, order 2, two evaluations per step (Xu et al. 2023)")

# Langevin dynamics
_add(NCSN, "annealed Langevin dynamics, 100 steps per level (Song & Ermon 2019)")
_add(
    NCSN2,
    "annealed Langevin dynamics, 5 steps per level, and denoising (Song & Ermon 2020)",
    lambda step: annealed(Langevin(step, 5), f"ncsn2:{step:g}"),
    "step, a number above 0",
)
_add(
    predictor_corrector(reverse_diffusion(), CORRECTORS["langevin"], "pc"),
    "predictor-corrector sampling, reverse_diffusion+langevin (Song et al. 2021, algorithm 1)",
)

_VARIABLES = {"x0": "log_snr", "eps": "log_snr", "v": "form_time", "flow": "form_time"}
"""The variable in which the slope of each form is taken for a polynomial."""

for _form, _variable in _VARIABLES.items():
    for _order in (1, 2, 3, 4):
        for _corrected in (False, True):
            _solver = exponential_adams(_form, _order, _variable, _corrected)
            _add(
                _solver,
                f"exponential Adams-Bashforth in the {_form} form, order {_solver.order}, multistep"
                + (", with corrector" if _corrected else ""),
            )


def solver_named(name: str | Solver) -> Solver:
    """The solver of a name.

    Args:
        name: a name in `SOLVERS`, such as "dpmpp2m"; with a number, such as "ddim:0.5"; with a
            corrector, such as "heun+langevin:0.2". A Solver is returned as it is.

    Raises:
        ValueError: for an unknown name; the message names the closest.
    """
    if isinstance(name, Solver):
        return name

    if not isinstance(name, str):
        raise ValueError(f"solver={name!r}: give a Solver, or a name such as 'dpmpp2m'")

    predictor, plus, corrector = name.partition("+")
    if plus:
        return predictor_corrector(solver_named(predictor), CORRECTORS.named(corrector), name)
    return SOLVERS.named(name)
