r"""Runge-Kutta methods by their tableau, in any form of the flow.

In the clock c of a form (`multistep`) the flow is dz/dc = F(z, c), and a tableau (a, b) says how a step of length h goes:

    z_i = z + h sum_{j<i} a_ij F_j     at the clock c + h sum_j a_ij,          z_next = z + h sum_j b_j F_j.

As slopes are kept, a step of s stages costs s evaluations. Euler's tableau in the x0, eps or flow form is DDIM, the
trapezoidal one in the eps form is EDM's Heun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..lookup import pick
from ..process.path import Level
from .multistep import FORMS
from .single_step import staged
from .solver import Solver, Update

BACK: dict[str, Callable[[Tensor], Tensor]] = {
    "x0": torch.log,
    "eps": lambda c: -c.log(),
    "v": lambda c: -c.tan().log(),
    "flow": lambda c: -c.logit(),
}
"""Half log-SNR by the clock of each form."""


@dataclass(frozen=True)
class Tableau:
    """Explicit: row i of `a` has i numbers; and the order of the whole. ValueError where that is not so."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(len(self.b))):
            raise ValueError(
                f"a: rows of {[len(row) for row in self.a]}; row i of an explicit tableau has i numbers"
            )
        if abs(sum(self.b) - 1) > 1e-12:
            raise ValueError(f"b: sums to {sum(self.b):g}; weights sum to 1")


TABLEAUX = {
    "rk3": Tableau(((), (1 / 2,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6), 3),
    "rk4": Tableau(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4),
}
"""Kutta's methods of third and fourth order (1901)."""


def runge_kutta(tableau: Tableau, form: str = "v", name: str = "runge_kutta") -> Solver:
    """The solver of this tableau in this form: x0, eps, v or flow."""
    own, nodes = pick("form", form, FORMS), [sum(row) for row in tableau.a[1:]]

    def ends(t: float, s: float) -> tuple[float, float]:
        start, end = own.clock(torch.tensor([t, s], dtype=torch.float64) / 2).tolist()
        return start, end - start

    def places(t: float, s: float) -> list[float]:
        start, h = ends(t, s)
        clock = torch.tensor([start + h * node for node in nodes], dtype=torch.float64)
        found: list[float] = (2 * BACK[form](clock)).tolist()
        return found

    def step(here: Level, way: Sequence[Level], to: Level) -> list[Update]:
        (_, h), g = ends(float(here.log_snr), float(to.log_snr)), own.gauge(here)
        base, moves = (here.alpha / g, here.sigma / g), []
        for at, goal, weights in zip(
            [here, *way], [*way, to], (*tableau.a[1:], tableau.b), strict=True
        ):
            kept = (*(own.gauge(goal) * h * w for w in reversed(weights)), own.gauge(goal))
            keep = (base, own.row(at)) if at is here else (own.row(at),)
            moves.append(Update(goal, store=keep, history_weights=kept, stage=goal is not to))
        return moves

    return Solver(name, staged(places, step), tableau.order)


RK3 = runge_kutta(TABLEAUX["rk3"], name="rk3")
RK4 = runge_kutta(TABLEAUX["rk4"], name="rk4")
