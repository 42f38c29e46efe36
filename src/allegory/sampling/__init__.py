"""From noise to data: grids, steps, and the driver that walks them."""

from ..process.noise import Noise
from .adaptive import Sampled, adaptive
from .churn import Churn, Interval, churn, restart
from .interpolate import slerp
from .parallel import Picard, picard
from .plan import Move, Solver
from .run import State, encode, sample, trajectory
from .solvers import SOLVERS, solver_named
from .start import start
from .steps import ddim
from .stochastic import er_sde, euler_maruyama, sa
from .tableau import Tableau, runge_kutta
from .tune import Tuning, tune
from .tuned import Tuned

__all__ = [
    "SOLVERS",
    "Churn",
    "Interval",
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
    "churn",
    "ddim",
    "encode",
    "er_sde",
    "euler_maruyama",
    "picard",
    "restart",
    "runge_kutta",
    "sa",
    "sample",
    "slerp",
    "solver_named",
    "start",
    "trajectory",
    "tune",
]
