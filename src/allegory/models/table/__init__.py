"""A diffusion model of tables: numbers, categories and missing values."""

from __future__ import annotations

from .denoiser import RowDenoiser, RowFeatures
from .diffusion import TableDiffusion
from .encoding import RowEncoding, missing_places, schema_of
from .partial import PartialRows, rows_to_fill, rows_with

__all__ = [
    "PartialRows",
    "RowDenoiser",
    "RowEncoding",
    "RowFeatures",
    "TableDiffusion",
    "missing_places",
    "rows_to_fill",
    "rows_with",
    "schema_of",
]
