"""Rows of numbers and tokens: their forward process, and mixtures with exact denoisers."""

from __future__ import annotations

from .fit import (
    FittedMixture,
    ObservedRows,
    best_mixture,
    criterion,
    fit_mixture,
    with_outliers,
)
from .mixture import RowComponents, RowMixture
from .path import KnownEntries, RowLevel, RowPath, RowPrediction, RowState

__all__ = [
    "FittedMixture",
    "KnownEntries",
    "ObservedRows",
    "RowComponents",
    "RowLevel",
    "RowMixture",
    "RowPath",
    "RowPrediction",
    "RowState",
    "best_mixture",
    "criterion",
    "fit_mixture",
    "with_outliers",
]
