"""Rows some of whose values are known: those of a table with missing values, and a few given ones.

What is known stays, and the model draws the rest from p(rest | known).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from torch import Tensor

from ...data.table_schema import TableSchema
from ...lookup import printable
from ...sampling.driver import OnStep
from ...sampling.rows import RowSampler


@dataclass(frozen=True, eq=False)
class PartialRows:
    """Raw rows, and which of their entries are known.

    Args:
        x: rows; what is not known may be anything.
        known: which entries are.
    """

    x: Float64[Tensor, "n dims"]
    known: Bool[Tensor, "n dims"]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    @property
    def is_open(self) -> Bool[Tensor, " n"]:
        """Which rows have an entry that is not known."""
        return ~self.known.all(1)


def filled_in(
    model: Any,
    rows: PartialRows,
    seeds: Sequence[int],
    sampler: RowSampler | None = None,
    on_step: OnStep | None = None,
) -> Float64[Tensor, "n dims"]:
    """Rows whose unknown entries are drawn, and are never "missing"; the others are as they were.

    Args:
        model: of the rows, with `sampler` and `infill`.
        rows: the rows.
        seeds: one integer per row.
        sampler: how they are drawn; None for the model's own.
        on_step: called as on_step(done, total).
    """
    filled = rows.x.clone()
    which = rows.is_open.nonzero()[:, 0]
    if not len(which):
        return filled

    complete = replace(sampler or model.sampler, complete=True)
    own = [seeds[place] for place in which.tolist()]
    filled[which] = model.infill(rows.x[which], rows.known[which], own, complete, on_step)
    return filled


def rows_to_fill(schema: TableSchema, frame: Any) -> PartialRows:
    """The rows of a table whose missing values are to be drawn.

    What is drawn of a number is a number, never that it is missing; of other columns a model draws
    values alone by a `RowSampler(complete=True)`. The columns that are always
    given are as they are: where values were missing at fit, they may be.

    Args:
        schema: the columns.
        frame: a table with these columns, any of whose other values may be missing.

    Raises:
        ValueError: for other columns, values that no row at fit could have, and missing values of
            given columns that had none at fit.
    """
    rows = schema.rows(frame, allow_missing=True)
    known = schema.known(frame).copy()
    for name in schema.numbers:
        known[:, schema.places(name)[1:]] = True

    given = schema.is_given
    if given.any():
        rows[:, given] = schema.rows_given(frame)[:, given]
        known[:, given] = True

    return PartialRows(torch.from_numpy(rows), torch.from_numpy(known))


def rows_with(schema: TableSchema, values: Mapping[str, Any], count: int) -> PartialRows:
    """Rows with given values of some columns.

    Args:
        schema: the columns.
        values: of some columns by name, each one value for all rows or one for each; None for one
            that is missing.
        count: how many rows.

    Raises:
        ValueError: for unknown columns, values that no row at fit could have, and none for a column
            that is always given.
    """
    for name in values:
        schema.column(name)

    absent = [name for name in schema.given if name not in values]
    if absent:
        raise ValueError(
            f"column '{printable(absent[0])}': this model is one of rows given "
            f"{', '.join(map(printable, schema.given))}; give its value"
        )
    if not values:
        none = torch.zeros(count, schema.dims, dtype=torch.float64)
        return PartialRows(none, none.bool())

    columns = {name: _column(name, value, count) for name, value in values.items()}
    table = np.empty(count, dtype=[(name, each.dtype) for name, each in columns.items()])
    for name, each in columns.items():
        table[name] = each

    part = replace(schema, given=tuple(values))
    x = torch.from_numpy(part.rows_given(table))
    return PartialRows(x, torch.from_numpy(part.is_given).expand(count, -1))


def _column(name: str, value: Any, count: int) -> NDArray[Any]:
    """A value for each row; text is objects, so that none is cut."""
    array = np.asarray(value)
    array = array.astype(object) if array.dtype.kind in "UT" else array
    if array.ndim > 1 or (array.ndim and len(array) not in (1, count)):
        raise ValueError(
            f"given: {name!r} has values of shape {array.shape} for {count} rows; give one, or one "
            "for each"
        )
    return np.broadcast_to(array.reshape(-1), (count,))
