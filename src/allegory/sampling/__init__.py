"""Samplers: solvers for the reverse process, their driver, and Markov chain Monte Carlo."""

from ..process.noise import Noise
from .adaptive import AdaptiveResult, AdaptiveSolver, adaptive
from .churn import Churn, Interval, churn, restart
from .driver import State, invert, sample, trajectory
from .initial import initial_noise
from .interpolate import slerp
from .mcmc.chain import chain, run_chain
from .mcmc.langevin import BatchLangevin, Hamiltonian, Langevin, mala
from .mcmc.ncsn import largest_distance, level_count, level_ratio, step_size
from .mcmc.target import Density, EnergyDensity, NoisedDensity, Transition
from .parallel import PicardResult, picard
from .partial import PartialSampler, strength_level
from .pilot import pilot
from .predictor_corrector import CORRECTORS, annealed, predictor_corrector
from .registry import SOLVERS, solver_named
from .runge_kutta import Tableau, runge_kutta
from .sampler import Sampler
from .sde import euler_maruyama, reverse_diffusion
from .sde_multistep import er_sde, sa
from .single_step import ddim
from .solver import Correction, Solver, Update
from .tuned_sampler import TunedSampler
from .tuning import TuningConfig, tune

__all__ = [
    "CORRECTORS",
    "SOLVERS",
    "AdaptiveResult",
    "AdaptiveSolver",
    "BatchLangevin",
    "Churn",
    "Correction",
    "Density",
    "EnergyDensity",
    "Hamiltonian",
    "Interval",
    "Langevin",
    "Noise",
    "NoisedDensity",
    "PartialSampler",
    "PicardResult",
    "Sampler",
    "Solver",
    "State",
    "Tableau",
    "Transition",
    "TunedSampler",
    "TuningConfig",
    "Update",
    "adaptive",
    "annealed",
    "chain",
    "churn",
    "ddim",
    "er_sde",
    "euler_maruyama",
    "initial_noise",
    "invert",
    "largest_distance",
    "level_count",
    "level_ratio",
    "mala",
    "picard",
    "pilot",
    "predictor_corrector",
    "restart",
    "reverse_diffusion",
    "run_chain",
    "runge_kutta",
    "sa",
    "sample",
    "slerp",
    "solver_named",
    "step_size",
    "strength_level",
    "trajectory",
    "tune",
]
