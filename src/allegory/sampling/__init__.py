"""From noise to data: grids, steps, and the driver that walks them."""

from ..process.noise import Noise
from .run import State, encode, sample, trajectory
from .start import start
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
