"""From noise to data: grids, steps, and the driver that walks them."""

from .noise import Noise, start
from .run import State, encode, sample, trajectory
from .steps import SOLVERS, Solver, ddim, solver_named

__all__ = [
    "SOLVERS",
    "Noise",
    "Solver",
    "State",
    "ddim",
    "encode",
    "sample",
    "solver_named",
    "start",
    "trajectory",
]
