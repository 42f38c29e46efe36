"""From noise to data: grids, steps, and the driver that walks them."""

from ..process.noise import Noise
from .adaptive import Sampled, adaptive
from .chain import chain, mcmc
from .churn import Churn, Interval, churn, restart
from .correct import annealed, predictor_corrector
from .density import AtLevel, Density, Moved, Potential
from .interpolate import slerp
from .langevin import BatchLangevin, Hamiltonian, Langevin, mala
from .ncsn import largest_distance, level_count, level_ratio, step_size
from .parallel import Picard, picard
from .plan import Move, Solver, Stay
from .run import State, encode, sample, trajectory
from .solvers import SOLVERS, solver_named
from .start import start
from .steps import ddim
from .stochastic import er_sde, euler_maruyama, reverse_diffusion, sa
from .tableau import Tableau, runge_kutta
from .tune import Tuning, tune
from .tuned import Tuned

__all__ = [
    "SOLVERS",
    "AtLevel",
    "BatchLangevin",
    "Churn",
    "Density",
    "Hamiltonian",
    "Interval",
    "Langevin",
    "Move",
    "Moved",
    "Noise",
    "Picard",
    "Potential",
    "Sampled",
    "Solver",
    "State",
    "Stay",
    "Tableau",
    "Tuned",
    "Tuning",
    "adaptive",
    "annealed",
    "chain",
    "churn",
    "ddim",
    "encode",
    "er_sde",
    "euler_maruyama",
    "largest_distance",
    "level_count",
    "level_ratio",
    "mala",
    "mcmc",
    "picard",
    "predictor_corrector",
    "restart",
    "reverse_diffusion",
    "runge_kutta",
    "sa",
    "sample",
    "slerp",
    "solver_named",
    "start",
    "step_size",
    "trajectory",
    "tune",
]
