"""Rows of tables at the command line: values of columns as text, and files of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.table_schema.column import PLURALS, closest, shown
from ..lookup import printable

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.table_schema import Column, TableSchema
    from ..recipes import RunFolder

_MISSING = ("", "nan", "null", "none", "missing")


def table_schema_of(folder: RunFolder, command: str) -> TableSchema:
    """The columns of the table that a run learned.

    Args:
        folder: the run.
        command: that needs a table, for the message.

    Raises:
        ValueError: for a run of other data.
    """
    schema = folder.spec.table
    if schema is None:
        raise ValueError(
            f"RUN {str(folder.path)!r}: learned {folder.spec}, no table; {command} needs a run of "
            "`allegory fit TABLE`"
        )
    return schema


def given_values(schema: TableSchema, given: Sequence[str]) -> dict[str, Any]:
    """Values of columns by name, from NAME=VALUE with commas between them.

    Args:
        schema: the columns.
        given: the words of the option; a comma inside of a value is one that no NAME= follows.

    Raises:
        ValueError: for an unknown column or value.
    """
    values: dict[str, Any] = {}
    parts = [part for text in given for part in re.split(r",(?=[^,=]*=)", text)]

    for part in parts:
        name, equals, text = part.partition("=")
        if not equals:
            raise ValueError(f"--given {printable(part)}: write NAME=VALUE, as in species=Gentoo")

        try:
            column = schema.column(name.strip())
            if column.name in values:
                raise ValueError(f"{column.place}: is given twice; give one value")
            values[column.name] = _value(column, text.strip())
        except ValueError as error:
            raise ValueError(f"--given: {error}") from None
    return values


def _value(column: Column, text: str) -> Any:
    """A value of a column; None for one that is missing. ValueError for what is none."""
    if column.values is not None:
        known = {column.text(value): value for value in column.values}
        alike = text.capitalize() if column.kind == "boolean" else text
        if text in known or alike in known:
            return _plain(column, known.get(text, known.get(alike)))

    if text.lower() in _MISSING:
        if not column.missing:
            raise ValueError(f"{column.place}: was never missing at fit; give a value")
        return None

    if column.values is not None:
        raise ValueError(
            f"{column.place}: {printable(text)!r}, no value of it at fit; {closest(text, known)}"
            f"there are {shown(known)}"
        )
    return _date(column, text) if column.is_date else _number(column, text)


def _plain(column: Column, value: Any) -> Any:
    """A possible value of a column as a cell."""
    import numpy as np

    return np.datetime64(value * column.ticks, "us") if column.is_date else value


def _number(column: Column, text: str) -> float:
    what, _ = PLURALS[column.kind]
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{column.place}: {printable(text)!r} is no {what}; at fit it was {column.summary}"
        ) from None


def _date(column: Column, text: str) -> Any:
    import numpy as np

    try:
        return np.datetime64(text, "us")
    except ValueError:
        raise ValueError(
            f"{column.place}: {printable(text)!r} is no date; write it as in 2026-01-31"
        ) from None


def frame_of_rows(schema: TableSchema, rows: Tensor) -> Any:
    """Rows as a table of pyarrow, with the names and types of the table at fit.

    Args:
        schema: the columns.
        rows: raw rows.
    """
    import narwhals as nw
    import pyarrow as pa

    frame = schema.frame(rows)

    if hasattr(frame, "columns"):
        return nw.from_native(frame).to_arrow()
    if frame.dtype.names is not None:
        return pa.table({name: frame[name] for name in frame.dtype.names})
    return pa.table({name: frame[:, place] for place, name in enumerate(schema.names)})


def save_frame(out: Path, frame: Any) -> None:
    """Write a table of pyarrow; the suffix of the file decides how.

    Args:
        out: the file; its folder is made if it is absent.
        frame: the table.
    """
    from ..data.table_output import table_bytes
    from ..files import write_whole

    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, table_bytes(frame, out.suffix))
