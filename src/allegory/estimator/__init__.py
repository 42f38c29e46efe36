"""Densities of tables in scikit-learn's manner."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "allegory.estimator needs scikit-learn; install it by pip install 'allegory[tables]'"
    ) from error

from .density import DiffusionDensity

__all__ = ["DiffusionDensity"]
