"""Cells of columns in the container of the table that a schema was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, objects
from .column import Column

Written = Sequence[tuple[Column, Cells]]


def in_container(container: str, columns: Written, count: int) -> Any:
    """A table of these columns, with the names and dtypes that they had.

    Args:
        container: one of `containers.CONTAINERS`.
        columns: the columns with their cells, in order.
        count: the number of rows.

    Raises:
        ValueError: where the library of the container is not installed.
    """
    try:
        return _WRITERS[container](columns, count)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a table of {container} needs {error.name}; pip install {error.name}"
        ) from None


def in_integer_range(cells: Cells, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Whole numbers, clamped to those of an integer dtype."""
    values: NDArray[Any] = cells.values
    if dtype.kind in "iu" and cells.family == "int":
        ends = np.iinfo(dtype)
        values = values.clip(max(ends.min, -(2**63)), min(ends.max, 2**63 - 1))
    return values


def python_values(cells: Cells, is_day: bool = False) -> list[Any]:
    """The cells as values of Python, None where one is missing.

    Args:
        cells: of a column.
        is_day: whether dates are days without a time.
    """
    if cells.family == "date":
        times = cells.values.astype("datetime64[us]")
        values = (times.astype("datetime64[D]") if is_day else times).tolist()
    else:
        values = cells.values.tolist()
    return [None if gone else each for each, gone in zip(values, cells.missing, strict=True)]


def utc_times(cells: Cells) -> list[datetime | None]:
    """Dates as times with the zone UTC, None where one is missing."""
    return [None if each is None else each.replace(tzinfo=UTC) for each in python_values(cells)]


def numpy_column(cells: Cells) -> NDArray[Any]:
    """The cells as a numpy array of the dtype that they had."""
    if cells.dtype.startswith("object"):
        return _object_column(cells)

    dtype = np.dtype(cells.dtype)
    if dtype.kind == "M":
        is_gone = cells.missing
        if cells.family == "null":
            return np.full(len(cells), np.datetime64("NaT"), dtype=dtype)
        times = cells.values.astype("datetime64[us]").astype(dtype)
        return np.where(is_gone, np.array(np.datetime64("NaT"), dtype=dtype), times)
    if dtype.kind == "f":
        filled = np.where(cells.missing, np.nan, 0.0 if cells.family == "null" else cells.values)
        return filled.astype(dtype)
    return in_integer_range(cells, dtype).astype(dtype)


def _object_column(cells: Cells) -> NDArray[Any]:
    values = python_values(cells, cells.dtype == "object[date]")
    if cells.dtype == "object[nan]":
        values = [np.nan if each is None else each for each in values]
    return objects(values)


def _numpy(columns: Written, count: int) -> NDArray[Any]:
    """An array of rows and columns."""
    made = [numpy_column(cells) for _, cells in columns]
    array = np.empty((count, len(made)), dtype=made[0].dtype)
    for place, column in enumerate(made):
        array[:, place] = column
    return array


def _records(columns: Written, count: int) -> NDArray[Any]:
    """An array with named fields."""
    made = {column.name: numpy_column(cells) for column, cells in columns}
    array = np.empty(count, dtype=[(name, each.dtype) for name, each in made.items()])
    for name, each in made.items():
        array[name] = each
    return array


def _pandas(columns: Written, count: int) -> Any:
    """A data frame of pandas, with an index from 0."""
    import pandas as pd

    from .output_frames import pandas_column

    made = {
        column.name if column.label is None else column.label: pandas_column(cells)
        for column, cells in columns
    }
    return pd.DataFrame(made, index=pd.RangeIndex(count))


def _polars(columns: Written, count: int) -> Any:
    """A data frame of polars."""
    import polars as pl

    from .output_frames import polars_column

    return pl.DataFrame([polars_column(column.name, cells) for column, cells in columns])


def _pyarrow(columns: Written, count: int) -> Any:
    """A table of pyarrow."""
    import pyarrow as pa

    from .output_frames import arrow_column

    return pa.table({column.name: arrow_column(cells) for column, cells in columns})


_WRITERS: dict[str, Callable[[Written, int], Any]] = {
    "numpy": _numpy,
    "records": _records,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}
