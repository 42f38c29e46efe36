"""The forward process and everything that can be said of it without a network."""

from .bound import Bound, Estimate, bits_per_dim, estimate
from .empirical import Empirical
from .grid import Grid, grid
from .kernel import Gaussian, marginal, posterior, transition
from .oracle import Mixture, Oracle
from .path import Level, Path
from .prediction import ROWS, Predict, Prediction, Row, edm, energy_of, row_named
from .resplit import Resplit
from .schedule import Betas, Cosine, Geometric, Learned, Linear, Schedule, Straight
from .split import SPLITS, Split

__all__ = [
    "ROWS", "SPLITS", "Betas", "Bound", "Cosine", "Empirical", "Estimate", "Gaussian", "Geometric", "Grid",
    "Learned", "Level", "Linear", "Mixture", "Oracle", "Path", "Predict", "Prediction", "Resplit", "Row", "Schedule",
    "Split", "Straight", "bits_per_dim", "edm", "energy_of", "estimate", "grid", "marginal", "posterior",
    "row_named", "transition",
]  # fmt: skip
