"""What the columns of a table are taken for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...entries import pick
from ...lookup import printable
from .cells import Cells
from .column import COLUMN_KINDS, Column, closest
from .containers import OpenTable, open_table
from .makers import MAKERS, Unfit
from .schema import TableSchema

FEW_VALUES = 20
"""Whole numbers of an integer dtype with so many different values or fewer are tokens."""

_REPEATS = 10  # rows of each different number from which on a note is made


def table_schema(
    frame: Any, kinds: Mapping[str, str] | None = None, given: Sequence[str] = ()
) -> TableSchema:
    """What the columns of a table are.

    Floats are numbers; in data frames those that are whole are whole numbers where some are
    missing. Whole numbers of an integer dtype have a probability: up to 20 different ones
    (`FEW_VALUES`) as tokens, more of them as numbers that a model dequantizes. Text and categorical
    dtypes are categories.

    Args:
        frame: a numpy array (n, columns), one with named fields, lists of rows, or a data frame of
            pandas, polars or pyarrow. An index of pandas is left out.
        kinds: the kinds of some columns by name, such as {"zip": "category"}, of `COLUMN_KINDS`.
            "whole" makes numbers also of few different ones.
        given: names of columns that are always known.

    Raises:
        ValueError: for a column of no kind, unknown names, and a table in which nothing varies.
    """
    table = open_table(frame)
    columns, notes = inferred_columns(table, check_kinds(kinds, table.names))
    names = (given,) if isinstance(given, str) else tuple(map(str, given))
    return TableSchema(tuple(columns), names, table.container, tuple(notes))


def inferred_columns(table: OpenTable, kinds: Mapping[str, str]) -> tuple[list[Column], list[str]]:
    """The columns of a table, and a sentence on each thing that somebody might not expect.

    Args:
        table: the table; one column is in memory at a time.
        kinds: the kinds of some columns by name; others are taken from their values.

    Raises:
        ValueError: for a column of no kind, and one that cannot be of the kind that is declared.
    """
    found, notes = [], []
    has_whole_floats = table.container not in ("numpy", "records")

    for label, name in zip(table.labels, table.names, strict=True):
        cells = table.cells(name)
        try:
            column = _column(name, cells, kinds.get(name) or _kind_of(cells, has_whole_floats))
        except Unfit as error:
            raise ValueError(f"column '{printable(name)}': {error}") from None
        own = None if isinstance(label, str) else int(label)
        found.append(replace(column, dtype=cells.dtype, categories=cells.categories, label=own))
        notes += [f"{column.place}: {note}" for note in (*_notes(column, cells), *cells.notes)]

    return found, notes


def check_kinds(kinds: Any, names: Iterable[str]) -> dict[str, str]:
    """Kinds by the names of columns.

    Args:
        kinds: a mapping, or None.
        names: of all columns.

    Raises:
        ValueError: for an unknown column or kind.
    """
    if kinds is None:
        return {}
    if not isinstance(kinds, Mapping):
        raise ValueError(f"kinds={kinds!r:.60}: give kinds by name, e.g. {{'zip': 'category'}}")
    known = {*names}
    for name, kind in kinds.items():
        if str(name) not in known:
            raise ValueError(
                f"kinds: no column '{printable(name)}'; {closest(name, known)}there are "
                f"{', '.join(map(printable, sorted(known)[:20]))}"
            )
        pick("kind of column", kind, COLUMN_KINDS)

    return {str(name): kind for name, kind in kinds.items()}


def _column(name: str, cells: Cells, kind: str) -> Column:
    """The column of some cells, of this kind."""
    missing = bool(cells.missing.any())
    if len(cells) and bool(cells.missing.all()):
        return Column(name, "missing", missing=True)
    return MAKERS[kind](name, cells, missing)


def _kind_of(cells: Cells, has_whole_floats: bool) -> str:
    """The kind of cells without a declared one.

    Data frames of pandas have whole numbers as floats where some are missing.
    """
    if cells.family == "int":
        few = len(np.unique(cells.present)) <= FEW_VALUES
        return "_few" if few else "whole"
    if cells.family == "float":
        present = cells.present
        is_whole = bool((np.isfinite(present) & (present == np.floor(present))).all())
        if has_whole_floats and is_whole and bool(cells.missing.any()):
            return "_few" if len(np.unique(present)) <= FEW_VALUES else "whole"
        return "number"

    return {"bool": "boolean", "date": "date"}.get(cells.family, "category")


def _notes(column: Column, cells: Cells) -> list[str]:
    """What somebody might not expect of a column."""
    if column.kind == "missing":
        return ["every value is missing; it is left out, and given back as missing"]
    if column.kind == "constant":
        assert column.values is not None
        only = column.text(column.values[0])
        return [f"every value is {only}; it has no density, and other values are refused"]
    if column.kind != "number" or column.values is not None:
        return []

    present = cells.present
    different = len(np.unique(present))
    if different * _REPEATS > len(present):
        return []
    return [
        f"{different:,} distinct values in {len(present):,} rows; its density measures the rounding"
    ]
