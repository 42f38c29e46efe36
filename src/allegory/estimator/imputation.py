"""Missing values, drawn from p(missing | present): what is drawn is never missing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from ..data.table_schema import TableSchema
from ..models.table import RowDenoiser, TableDiffusion
from ..process.discrete import TokenPrediction
from ..process.rows import KnownEntries, RowComponents, RowLevel, RowPath, RowPrediction, RowState
from ..progress import progress
from .checks import row_seeds

_TRIES = 20
"""Draws of a row until one has no missing value, after which such values are left out."""


def draws_of(
    model: TableDiffusion, rows: Tensor, known: Tensor, draws: int, state: int
) -> list[Float64[Tensor, "n dims"]]:
    """Several draws of rows without missing values.

    Args:
        model: the model.
        rows: raw rows; what is not known may be anything.
        known: which entries are.
        draws: how many.
        state: the seed.
    """
    made = []
    with progress() as show:
        for draw in range(draws):
            show("imputed tables", draw, draws)
            seeds = partial(row_seeds, len(rows), "impute", state, draw)
            made.append(imputed(model, rows, known, seeds))

    return made


def imputed(
    model: TableDiffusion,
    rows: Float64[Tensor, "n dims"],
    known: Bool[Tensor, "n dims"],
    seeds: Callable[[int], Sequence[int]],
) -> Float64[Tensor, "n dims"]:
    """Rows without missing values: draws of p(row | the known entries, nothing is missing).

    A row in which a category comes out as missing is drawn again. One that does so 20 times is
    drawn from a model without that value, which leaves out what the gap itself says of the rest.

    Args:
        model: the model.
        rows: raw rows; what is not known may be anything.
        known: which entries are.
        seeds: the seeds of all rows, at the k-th try.
    """
    schema = model.spec.table
    assert schema is not None, "a model of a table has columns"
    known = known.clone()
    known[:, schema.dims - _indicators(schema) :] = True  # what is imputed is a number

    filled, left = rows.clone(), (~known).any(1).nonzero()[:, 0]

    for number in range(_TRIES + 1):
        if not len(left):
            break
        own = model if number < _TRIES else _present_values(model, schema)
        drawn = seeds(number)
        filled[left] = own.infill(rows[left], known[left], [drawn[i] for i in left.tolist()])
        left = left[_has_missing(schema, filled[left])]

    return filled


def _indicators(schema: TableSchema) -> int:
    """How many entries say that a number is missing; they are the last ones of a row."""
    return sum(schema.column(name).missing for name in schema.numbers)


def _codes(schema: TableSchema) -> list[tuple[int, int]]:
    """The place among the entries of each category that may be missing, and the code of that."""
    return [
        (schema.places(column.name)[0], column.levels - 1)
        for column in schema.columns
        if column.is_token and column.missing
    ]


def _has_missing(schema: TableSchema, rows: Tensor) -> Bool[Tensor, " n"]:
    """Which rows have a category that is missing."""
    found = torch.zeros(len(rows), dtype=torch.bool)
    for place, code in _codes(schema):
        found |= rows[:, place] == code

    return found


def _present_values(model: TableDiffusion, schema: TableSchema) -> TableDiffusion:
    """A model whose categories are never missing."""
    denoise = model.denoise
    is_present = denoise.is_value.clone()
    for place, code in _codes(schema):
        is_present[place - len(schema.numbers), code] = False

    never = _PresentValues(denoise, is_present)
    made = TableDiffusion(denoise, model.encoding, model.spec, sampler=model.sampler)
    made.denoise = never  # type: ignore[assignment]
    return made


class _PresentValues(nn.Module):
    """A predictor of rows that leaves values out.

    Args:
        denoise: another one.
        is_present: which values stay.
    """

    def __init__(self, denoise: RowDenoiser, is_present: Bool[Tensor, "k v"]) -> None:
        super().__init__()
        self.denoise, self.mixture = denoise, denoise.mixture
        self.register_buffer("is_present", is_present, persistent=False)

    @property
    def path(self) -> RowPath:
        """The forward process."""
        return self.denoise.path

    def components(self, rows: RowState, known: KnownEntries) -> RowComponents | None:
        """The components of the mixture given the `known` numbers of these rows."""
        return self.denoise.components(rows, known)

    def forward(
        self,
        x_t: RowState,
        level: RowLevel,
        known: KnownEntries,
        parts: RowComponents | None = None,
    ) -> RowPrediction:
        """Predict the clean rows.

        Args:
            x_t: noisy rows.
            level: their Level.
            known: entries that have no noise.
            parts: as for `RowDenoiser`.
        """
        found = self.denoise(x_t, level, known, parts)
        log_probs = found.tokens.log_probs.masked_fill(~self.get_buffer("is_present"), -torch.inf)
        tokens = TokenPrediction(log_probs.log_softmax(-1), x_t.tokens, level.tokens)
        return RowPrediction(found.numbers, tokens)
