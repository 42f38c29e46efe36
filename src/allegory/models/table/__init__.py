"""A diffusion model of tables: numbers, categories and missing values."""

from __future__ import annotations

from .denoiser import RowDenoiser, RowFeatures
from .diffusion import TableDiffusion
from .encoding import RowEncoding, missing_places, schema_of
from .location import LocationScale
from .partial import PartialRows, filled_in, rows_to_fill, rows_with

__all__ = [
    "LocationScale",
    "PartialRows",
    "RowDenoiser",
    "RowEncoding",
    "RowFeatures",
    "TableDiffusion",
    "filled_in",
    "missing_places",
    "rows_to_fill",
    "rows_with",
    "schema_of",
]
