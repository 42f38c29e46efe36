"""log p of rows, the same for a row alone and in any table."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from ..models.table import TableDiffusion
from ..progress import progress
from .checks import seed_of_row

_DRAWS = 256
"""Of the bound of a row."""
_SCORED = 500
"""Rows whose likelihood is computed at once."""


def log_probs(model: TableDiffusion, rows: Float64[Tensor, "n dims"]) -> Float64[Tensor, " n"]:
    """log p of each row in nats, or its bound where the model has no exact one.

    Args:
        model: the model.
        rows: raw rows.
    """
    parts = []
    with progress() as show:
        for start in range(0, len(rows), _SCORED):
            show("log p", start, len(rows))
            parts.append(_log_probs(model, rows[start : start + _SCORED]))

    return torch.cat(parts).double()


def _log_probs(model: TableDiffusion, rows: Tensor) -> Tensor:
    """log p of some rows; their noise is seeded by what they are."""
    seeds = [seed_of_row(row) for row in rows]
    if model.exact:
        return model.log_prob(rows, seeds=seeds)
    return model.bound(rows, seeds=seeds, draws=_DRAWS).total
