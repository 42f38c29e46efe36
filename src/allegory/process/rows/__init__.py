"""Rows of numbers and tokens: their forward process, and mixtures with exact denoisers."""

from __future__ import annotations

from .fit import TableRows, best_mixture, fit_mixture
from .mixture import Components, RowMixture
from .path import KnownEntries, RowLevel, RowPath, RowPrediction, Rows

__all__ = [
    "Components",
    "KnownEntries",
    "RowLevel",
    "RowMixture",
    "RowPath",
    "RowPrediction",
    "Rows",
    "TableRows",
    "best_mixture",
    "fit_mixture",
]
