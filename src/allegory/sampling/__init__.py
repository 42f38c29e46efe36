"""From noise to data: grids, steps, and the driver that walks them."""

from ..process.noise import Noise
from .adaptive import Sampled, adaptive
from .interpolate import slerp
from .parallel import Picard, picard
from .plan import Move, Solver
from .run import State, encode, sample, trajectory
from .solvers import SOLVERS, solver_named
from .start import start
from .steps import ddim
from .tableau import Tableau, runge_kutta
from .tune import Tuning, tune
from .tuned import Tuned

__all__ = [
    "SOLVERS",
    "Move",
    "Noise",
    "Picard",
    "Sampled",
    "Solver",
    "State",
    "Tableau",
    "Tuned",
    "Tuning",
    "adaptive",
    "ddim",
    "encode",
    "picard",
    "runge_kutta",
    "sample",
    "slerp",
    "solver_named",
    "start",
    "trajectory",
    "tune",
]
