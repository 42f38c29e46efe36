r"""Explicit Runge-Kutta methods by their tableau, in any form of the flow.

In the time c of a form (`flow_forms`) the flow is dz/dc = F(z, c), and a tableau (a, b) gives a
step of length h:

    z_i = z + h sum_{j<i} a_ij F_j     at c + h sum_j a_ij,          z_next = z + h sum_j b_j F_j.

As slopes are stored, a step of s stages costs s evaluations. Euler's tableau in the x0, eps or flow
form is DDIM, the trapezoidal one in the eps form is EDM's Heun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..lookup import pick
from ..process.path import Level
from .flow_forms import FLOW_FORMS, LAMBDA_OF_TIME, FlowForm
from .single_step import with_stages
from .solver import Solver, Update


@dataclass(frozen=True)
class Tableau:
    """The coefficients of an explicit Runge-Kutta method.

    Args:
        a: row i has i numbers.
        b: weights, which sum to 1.
        order: of the method.

    Raises:
        ValueError: for rows of another length, or weights with another sum.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        lengths = [len(row) for row in self.a]
        if lengths != list(range(len(self.b))):
            raise ValueError(f"a: rows of {lengths}; row i of an explicit tableau has i numbers")
        if abs(sum(self.b) - 1) > 1e-12:
            raise ValueError(f"b: sums to {sum(self.b):g}; weights sum to 1")


RK3_TABLEAU = Tableau(((), (1 / 2,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6), 3)
RK4_TABLEAU = Tableau(
    ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4
)
"""Kutta's methods of third and fourth order (1901)."""


def runge_kutta(tableau: Tableau, form: str = "v", name: str = "runge_kutta") -> Solver:
    """The solver of a tableau in a form of the flow.

    Args:
        tableau: of an explicit method.
        form: "x0", "eps", "v" or "flow".
        name: of the solver.

    Returns:
        A solver with one evaluation per row of the tableau.

    Raises:
        ValueError: for an unknown form.
    """
    own = pick("form", form, FLOW_FORMS)
    fractions = [sum(row) for row in tableau.a[1:]]

    def times(start: float, end: float) -> tuple[float, float]:
        """c at these log-SNRs."""
        first, last = own.time(torch.tensor([start, end], dtype=torch.float64) / 2).tolist()
        return first, last

    def places(start: float, end: float) -> list[float]:
        first, last = times(start, end)
        stages = [first + (last - first) * fraction for fraction in fractions]
        log_snr = 2 * LAMBDA_OF_TIME[form](torch.tensor(stages, dtype=torch.float64))
        found: list[float] = log_snr.tolist()
        return found

    def step(here: Level, stages: Sequence[Level], to: Level) -> list[Update]:
        first, last = times(float(here.log_snr), float(to.log_snr))
        return _step(own, tableau, last - first, (here, *stages, to))

    return Solver(name, with_stages(places, step), tableau.order)


def _step(form: FlowForm, tableau: Tableau, h: float, way: Sequence[Level]) -> list[Update]:
    """One step of length h in the form's time, by the Levels of its stages.

    The history holds z at the first Level, as a combination of x0 and eps, and then the slopes.
    """
    here = way[0]
    g = form.scale(here)
    start = (here.alpha / g, here.sigma / g)

    updates = []
    rows = (*tableau.a[1:], tableau.b)
    for (at, goal), row in zip(pairwise(way), rows, strict=True):
        scale = form.scale(goal)
        slopes = (scale * h * weight for weight in reversed(row))
        updates.append(
            Update(
                goal,
                store=(start, form.slope(at)) if at is here else (form.slope(at),),
                history_weights=(*slopes, scale),
                stage=goal is not way[-1],
            )
        )
    return updates


RK3 = runge_kutta(RK3_TABLEAU, name="rk3")
RK4 = runge_kutta(RK4_TABLEAU, name="rk4")
