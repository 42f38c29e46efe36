"""The forward process and everything that can be said of it without a network."""

from .betas import Betas, LinearBeta, LinearBetaSubVP
from .bound import Bound, Estimate, bits_per_dim, estimate
from .empirical import Empirical
from .exact import ExactDensity
from .grid import SPACINGS, Grid, grid
from .kernel import Gaussian, marginal, posterior, transition
from .learned_schedule import LearnedSchedule
from .mixture import Mixture
from .path import Level, Path
from .prediction import (
    TARGETS,
    Predict,
    Prediction,
    Target,
    as_predict,
    edm_target,
    energy_of,
    target_named,
)
from .rescale import Rescaled
from .scaling import SCALINGS, Scaling
from .schedule import (
    SCHEDULES,
    Cosine,
    Geometric,
    LinearLogSNR,
    RectifiedFlow,
    Schedule,
)

__all__ = [
    "SCALINGS",
    "SCHEDULES",
    "SPACINGS",
    "TARGETS",
    "Betas",
    "Bound",
    "Cosine",
    "Empirical",
    "Estimate",
    "ExactDensity",
    "Gaussian",
    "Geometric",
    "Grid",
    "LearnedSchedule",
    "Level",
    "LinearBeta",
    "LinearBetaSubVP",
    "LinearLogSNR",
    "Mixture",
    "Path",
    "Predict",
    "Prediction",
    "RectifiedFlow",
    "Rescaled",
    "Scaling",
    "Schedule",
    "Target",
    "as_predict",
    "bits_per_dim",
    "edm_target",
    "energy_of",
    "estimate",
    "grid",
    "marginal",
    "posterior",
    "target_named",
    "transition",
]  # fmt: skip
