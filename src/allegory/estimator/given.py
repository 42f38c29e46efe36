"""Columns that are given: y of p(x | y), and values of columns for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.table_schema import TableSchema


def with_columns(frame: Any, y: Any) -> tuple[Any, tuple[str, ...]]:
    """A table with more columns, and their names."""
    if hasattr(frame, "columns"):
        return _frame_with(frame, y)
    array = np.asarray(frame)
    other = np.asarray(y)
    other = other.reshape(len(other), -1)
    if len(other) != len(array):
        raise ValueError(f"y: {len(other)} rows for {len(array)} of X; give one each")
    names = [f"x{i}" for i in range(array.shape[1])] + [f"y{i}" for i in range(other.shape[1])]
    dtype = [(name, array.dtype) for name in names[: array.shape[1]]]
    dtype += [(name, other.dtype) for name in names[array.shape[1] :]]
    joined = np.empty(len(array), dtype=dtype)
    for place, name in enumerate(names):
        inside = place < array.shape[1]
        joined[name] = array[:, place] if inside else other[:, place - array.shape[1]]

    return joined, tuple(names[array.shape[1] :])


def _frame_with(frame: Any, y: Any) -> tuple[Any, tuple[str, ...]]:
    """A data frame with the columns of y."""
    import narwhals as nw

    table = nw.from_native(frame)
    values = y if hasattr(y, "columns") else None
    names = list(map(str, values.columns)) if values is not None else None
    columns = (
        {name: np.asarray(values[name]) for name in values.columns}
        if values is not None
        else _columns_of(y)
    )
    names = [str(name) for name in columns]
    clash = [name for name in names if name in table.columns]
    if clash:
        raise ValueError(f"y: column {clash[0]!r} is in X as well; leave it out of one")
    made = [
        nw.new_series(name, np.asarray(each), backend=nw.get_native_namespace(table))
        for name, each in zip(names, columns.values(), strict=True)
    ]
    return table.with_columns(*made).to_native(), tuple(names)


def _columns_of(y: Any) -> dict[str, Any]:
    """Columns of an array, or of a series with its name."""
    if getattr(y, "name", None):
        return {str(y.name): y}
    array = np.asarray(y)
    array = array.reshape(len(array), -1)
    return {f"y{i}": array[:, i] for i in range(array.shape[1])}


def given_rows(schema: TableSchema, given: Any, count: int) -> tuple[Tensor, Tensor]:
    """Rows with given values, and where they are.

    Raises:
        ValueError: for values of no column, or none for the columns that are always given.
    """
    values = _values_by_name(schema, given)
    missing = [name for name in schema.given if name not in values]
    if missing:
        raise ValueError(f"given: no value of {missing[0]!r}; give one for each column of y")
    for name in values:
        schema.column(name)

    table = _table_of(schema, values, count)
    part = replace(schema, given=tuple(values))
    rows = torch.from_numpy(part.rows_given(table))
    known = torch.from_numpy(part.is_given).expand(count, -1).clone()
    return rows, known


def _values_by_name(schema: TableSchema, given: Any) -> dict[str, Any]:
    """Values of columns by name."""
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if given is None:
        return {}
    if hasattr(given, "columns"):
        return {str(name): np.asarray(given[name]) for name in given.columns}
    array = np.asarray(given)
    wanted = len(schema.given)
    if array.ndim == 2:
        columns: Sequence[Any] = list(array.T)
    elif array.ndim == 1 and len(array) == wanted:
        columns = list(array)
    elif wanted == 1:
        columns = [array]
    else:
        raise ValueError(f"given: {array.shape} values for the {wanted} columns of y")
    if len(columns) != wanted:
        raise ValueError(f"given: {len(columns)} columns for the {wanted} of y")

    return dict(zip(schema.given, columns, strict=True))


def _table_of(schema: TableSchema, values: Mapping[str, Any], count: int) -> Any:
    """A structured array of given values, one row for each of `count`."""
    columns = {}
    for name, value in values.items():
        array = np.asarray(value)
        if array.ndim and len(array) not in (1, count):
            raise ValueError(f"given: {len(array)} values of {name!r} for {count} rows")
        columns[name] = np.broadcast_to(array.reshape(-1), (count,))
    dtype = [
        (name, each.dtype if each.dtype.kind != "U" else object) for name, each in columns.items()
    ]
    made = np.empty(count, dtype=dtype)
    for name, each in columns.items():
        made[name] = each

    return made


def without_columns(table: Any, schema: TableSchema) -> Any:
    """A table without the columns that are always given."""
    if not schema.given:
        return table
    if isinstance(table, np.ndarray):
        names = [name for name in schema.names if name not in schema.given]
        if table.dtype.names is None:
            return table[:, [schema.names.index(name) for name in names]]
        return np.stack([table[name] for name in names], axis=1)

    import narwhals as nw

    return nw.from_native(table).drop(*schema.given).to_native()
