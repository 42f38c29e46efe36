"""The rows of a table whose columns are known: found by name, one column after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from ...lookup import printable
from .column import Column, closest
from .containers import OpenTable, open_table
from .encoding import encoded

if TYPE_CHECKING:
    from .schema import TableSchema


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows of numbers.

    Args:
        numbers: finite, (n, dims).
        is_missing: which of them are of no value in the table, (n, dims).
    """

    numbers: Float64[NDArray[Any], "n dims"]
    is_missing: Bool[NDArray[Any], "n dims"]


def encoded_rows(
    schema: TableSchema, frame: Any, allow_missing: bool, only: Sequence[str] | None = None
) -> EncodedRows:
    """The rows of a table.

    Args:
        schema: what its columns are.
        frame: the table.
        allow_missing: whether any value may be missing; codes of missing numbers are then 0.
        only: names of the columns that are read; the others may be absent, and their entries are
            those of a missing number or 0. None for all.

    Raises:
        ValueError: for other columns, and values that no row at fit could have.
    """
    table = open_table(frame)
    read = {*(schema.names if only is None else only)}
    wanted = [column for column in schema.columns if column.name in read]
    _check_names(table, wanted, schema.names)
    numbers = np.zeros((table.length, schema.dims))
    is_missing = np.zeros(numbers.shape, dtype=bool)

    for column in schema.columns:
        place, *indicator = (*schema.places(column.name), None)
        if column.name not in read:
            if column.is_number:
                numbers[:, place] = column.low
            continue
        values, gone = encoded(column, table.cells(column.name), allow_missing)
        if place is None:
            continue
        numbers[:, place] = values
        is_missing[:, place] = gone
        if indicator[0] is not None and not allow_missing:
            numbers[:, indicator[0]] = gone

    return EncodedRows(numbers, is_missing)


def _check_names(table: OpenTable, wanted: Sequence[Column], known: Sequence[str]) -> None:
    """Refuse a table that lacks a column, or has others."""
    present, expected = {*table.names}, {*known}
    absent = [column for column in wanted if column.name not in present]
    others = [name for name in table.names if name not in expected]

    if absent:
        raise ValueError(
            f"{absent[0].place}: the table has no such column; {closest(absent[0].name, others)}"
            f"rename it, or add it ({len(absent):,} of {len(wanted):,} columns are missing)"
        )
    if others:
        raise ValueError(
            f"column '{printable(others[0])}': there was none at fit; "
            f"{closest(others[0], known)}leave it out"
        )
