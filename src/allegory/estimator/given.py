"""Columns that are given: y of p(x | y), and values of columns for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.table_schema import TableSchema


def labels_of(table: Any) -> tuple[Any, ...] | None:
    """The names of the columns of a data frame or of records; None for what has none."""
    for name in ("column_names", "columns"):
        if hasattr(type(table), name):
            return tuple(getattr(table, name))
    names = getattr(getattr(table, "dtype", None), "names", None)
    return None if names is None else tuple(names)


def input_labels(schema: TableSchema) -> list[Any]:
    """The names of the columns of X in their container; those of an array are numbers.

    Args:
        schema: the columns of X and y.
    """
    own = [column for column in schema.columns if column.name not in schema.given]
    names = [column.name for column in own]
    is_array = schema.container in ("numpy", "records")
    if is_array and names == [f"x{place}" for place in range(len(own))]:
        return [*range(len(own))]
    return [column.name if column.label is None else column.label for column in own]


def joined(
    table: Any, y: Any, conditional: bool, names: Sequence[str] = ()
) -> tuple[Any, tuple[str, ...]]:
    """X with the columns of y, and the names of those.

    Args:
        table: X.
        y: of each row; it is ignored unless the density is `conditional`.
        conditional: whether it is one of X given y.
        names: of the columns of y at fit; none at fit itself.

    Raises:
        ValueError: without y, and as `with_columns`.
    """
    if not conditional:
        return table, ()
    if y is None:
        raise ValueError("y=None: this density is conditional; give y of each row")
    return with_columns(table, y, names)


def with_columns(table: Any, y: Any, names: Sequence[str] = ()) -> tuple[Any, tuple[str, ...]]:
    """A table with more columns, and their names.

    Args:
        table: a data frame, or an array (n, columns).
        y: a column, several, or a data frame, with a row for each of the table.
        names: of the columns of an array; none calls them y0, y1, ...

    Raises:
        ValueError: for another number of rows, names that the table has, and an array of another
            number of columns.
    """
    columns = _columns_of(y, names)
    for name, each in columns.items():
        if len(each) != len(table):
            raise ValueError(f"y: {len(each)} rows of {name!r} for {len(table)} of X; give as many")

    labels = labels_of(table)
    if labels is None:
        array = np.asarray(table)
        own = {f"x{place}": column for place, column in enumerate(array.T)}
    elif isinstance(table, np.ndarray):
        own = {name: table[name] for name in labels}
    else:
        own = dict.fromkeys(map(str, labels))
    clash = [name for name in columns if name in own]
    if clash:
        raise ValueError(f"y: X has a column {clash[0]!r} too; leave it out of one of them")

    if isinstance(table, np.ndarray) or labels is None:
        return _records({**own, **columns}), tuple(columns)
    return _frame_with(table, columns), tuple(columns)


def _records(columns: Mapping[str, Any]) -> Any:
    """An array with named fields."""
    made = {name: np.asarray(each) for name, each in columns.items()}
    dtype = [
        (name, object if each.dtype.kind in "UT" else each.dtype) for name, each in made.items()
    ]
    records = np.empty(len(next(iter(made.values()))), dtype=dtype)
    for name, each in made.items():
        records[name] = each

    return records


def _frame_with(frame: Any, columns: Mapping[str, Any]) -> Any:
    """A data frame with more columns."""
    import narwhals as nw

    table = nw.from_native(frame, eager_only=True)
    made = []
    for name, each in columns.items():
        array = np.asarray(each)
        values = array.tolist() if array.dtype.kind in "OUT" else array
        made.append(nw.new_series(name, values, backend=table.implementation))

    return table.with_columns(*made).to_native()


def _columns_of(y: Any, names: Sequence[str]) -> dict[str, Any]:
    """The columns of a data frame, of a series with its name, or of an array."""
    labels = labels_of(y)
    if labels is not None:
        return {str(label): y[label] for label in labels}
    name = getattr(y, "name", None)
    if isinstance(name, str) and name:
        return {name: y}

    array = np.asarray(y)
    if array.ndim not in (1, 2):
        raise ValueError(f"y: shape {array.shape}; give a value of each row, or several")
    columns = [array] if array.ndim == 1 else list(array.T)
    if names and len(columns) != len(names):
        raise ValueError(f"y: {len(columns)} columns, and {len(names)} at fit; give {[*names]}")

    names = names or [f"y{place}" for place in range(len(columns))]
    return dict(zip(names, columns, strict=True))


def values_by_name(schema: TableSchema, given: Any) -> dict[str, Any]:
    """Values of columns by name.

    Args:
        schema: the columns.
        given: values by name, a data frame, or the values of the columns that are always given.

    Raises:
        ValueError: for values without names of another number of columns.
    """
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    labels = labels_of(given)
    if labels is not None:
        return {str(label): given[label] for label in labels}
    if given is None:
        return {}
    if not schema.given:
        raise ValueError("given: values without names; give them by name, as in {'age': 40}")

    array = np.asarray(given)
    wanted = len(schema.given)
    if array.ndim == 2:
        columns: Sequence[Any] = list(array.T)
    elif array.ndim == 1 and len(array) == wanted:
        columns = list(array)
    else:
        columns = [array]
    if len(columns) != wanted:
        raise ValueError(f"given: shape {array.shape} for the columns {[*schema.given]} of y")

    return dict(zip(schema.given, columns, strict=True))


def without_columns(table: Any, schema: TableSchema) -> Any:
    """A table without the columns that are always given.

    Args:
        table: as `schema.frame` returns it.
        schema: the columns.
    """
    if not schema.given:
        return table
    if isinstance(table, np.ndarray):
        names = [name for name in schema.names if name not in schema.given]
        is_array = isinstance(input_labels(schema)[0], int)
        return np.stack([table[name] for name in names], axis=1) if is_array else table[names]

    import narwhals as nw

    return nw.from_native(table).drop(*schema.given).to_native()
