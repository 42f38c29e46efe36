"""Densities of tables in scikit-learn's manner."""

from __future__ import annotations

from .density import DiffusionDensity

__all__ = ["DiffusionDensity"]
