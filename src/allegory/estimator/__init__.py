"""Densities of tables in scikit-learn's manner, and posteriors of parameters of simulators."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "allegory.estimator needs scikit-learn; install it by pip install 'allegory[tables]'"
    ) from error

from .density import DiffusionDensity
from .posterior import DiffusionPosterior
from .priors import BoxPrior, NormalPrior, Prior
from .weighted import WeightedDraws

__all__ = [
    "BoxPrior",
    "DiffusionDensity",
    "DiffusionPosterior",
    "NormalPrior",
    "Prior",
    "WeightedDraws",
]
