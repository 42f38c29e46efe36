"""From noise to data: grids, steps, and the driver that walks them."""

from ..process.noise import Noise
from .plan import Move, Solver
from .run import State, encode, sample, trajectory
from .solvers import SOLVERS, solver_named
from .start import start
from .steps import ddim
from .tune import Tuning, tune
from .tuned import Tuned

__all__ = [
    "SOLVERS",
    "Move",
    "Noise",
    "Solver",
    "State",
    "Tuned",
    "Tuning",
    "ddim",
    "encode",
    "sample",
    "solver_named",
    "start",
    "trajectory",
    "tune",
]
