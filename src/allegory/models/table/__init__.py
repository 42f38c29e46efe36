"""A diffusion model of tables: numbers, categories and missing values."""

from __future__ import annotations

from .denoiser import RowDenoiser, RowFeatures
from .diffusion import TableDiffusion
from .encoding import RowEncoding, missing_places, schema_of

__all__ = [
    "RowDenoiser",
    "RowEncoding",
    "RowFeatures",
    "TableDiffusion",
    "missing_places",
    "schema_of",
]
