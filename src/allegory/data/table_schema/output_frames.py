"""Cells as columns of data frames, with the dtypes that they had."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .cells import Cells
from .output import in_integer_range, numpy_column, python_values, utc_times

_POLARS_TIME = re.compile(r"Datetime\(time_unit='(\w+)', time_zone=(None|'([^']*)')\)")
_ARROW_TIME = re.compile(r"timestamp\[(\w+)(, tz=([^\]]+))?\]")
_ARROW_CATEGORIES = re.compile(r"dictionary<values=([^,]+), indices=(\w+), ordered=([01])>")
_INTEGER = re.compile(r"u?int(8|16|32|64)", re.IGNORECASE)


def pandas_column(cells: Cells) -> Any:
    """The cells as a Series of pandas."""
    import pandas as pd

    if cells.dtype.startswith("object"):
        return pd.Series(numpy_column(cells), dtype=object)
    if "category[" in cells.dtype:
        return _pandas_categories(cells)

    dtype = pd.api.types.pandas_dtype(cells.dtype)
    is_plain = isinstance(dtype, np.dtype)
    if is_plain and not (cells.missing.any() and dtype.kind in "biu"):
        return pd.Series(numpy_column(cells))
    if is_plain:
        return pd.Series(python_values(cells), dtype=object)
    if isinstance(dtype, pd.DatetimeTZDtype):
        if cells.family == "null":
            return pd.Series([None] * len(cells), dtype=dtype)
        times = cells.values.astype("datetime64[us]")
        times = np.where(cells.missing, np.datetime64("NaT", "us"), times)
        return pd.Series(times).dt.tz_localize("UTC").dt.tz_convert(dtype.tz).astype(dtype)

    return pd.Series(pd.array(_clamped(cells), dtype=dtype))


def _pandas_categories(cells: Cells) -> Any:
    """A Series of a categorical dtype, with all its categories."""
    import pandas as pd

    ordered, _, inner = cells.dtype.removesuffix("]").partition("category[")
    kind = pd.CategoricalDtype(pd.Index(cells.categories or (), dtype=inner), bool(ordered))
    return pd.Series(pd.Categorical(python_values(cells), dtype=kind))


def polars_column(name: str, cells: Cells) -> Any:
    """The cells as a Series of polars."""
    import polars as pl

    time = _POLARS_TIME.fullmatch(cells.dtype)
    if time is not None:
        unit: Any = time.group(1)
        if cells.family == "null":
            return pl.Series(name, python_values(cells), pl.Datetime(unit, time.group(3)))
        stamps = pl.Series(name, python_values(cells), pl.Datetime("us")).cast(pl.Datetime(unit))
        zone = time.group(3)
        return (
            stamps
            if zone is None
            else stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        )
    if cells.dtype == "Enum":
        return pl.Series(
            name, python_values(cells), pl.Enum(list(map(str, cells.categories or ())))
        )
    if cells.dtype.startswith("object"):
        return pl.Series(name, python_values(cells), pl.Object)

    values = python_values(cells, is_day=True) if cells.dtype == "Date" else _clamped(cells)
    return pl.Series(name, values, getattr(pl, cells.dtype))


def arrow_column(cells: Cells) -> Any:
    """The cells as an array of pyarrow."""
    import pyarrow as pa

    categories = _ARROW_CATEGORIES.fullmatch(cells.dtype)
    if categories is not None:
        values, indices, ordered = categories.groups()
        kind = pa.dictionary(_arrow_type(indices), _arrow_type(values), ordered == "1")
        return pa.array(python_values(cells), _arrow_type(values)).dictionary_encode().cast(kind)
    if cells.family == "date" and cells.dtype.startswith("timestamp"):
        stamps = pa.array(utc_times(cells), pa.timestamp("us", "UTC"))
        return stamps.cast(_arrow_type(cells.dtype), safe=False)
    if cells.family == "date":
        return pa.array(python_values(cells, is_day=True), _arrow_type(cells.dtype))
    return pa.array(_clamped(cells), _arrow_type(cells.dtype))


def _arrow_type(text: str) -> Any:
    """The type of pyarrow that is written like this."""
    import pyarrow as pa

    time = _ARROW_TIME.fullmatch(text)
    if time is not None:
        return pa.timestamp(time.group(1), time.group(3))
    return pa.type_for_alias(text)


def _clamped(cells: Cells) -> list[Any]:
    """Values of Python, whole numbers inside of the range of the dtype, as floats where it is."""
    integer = _INTEGER.search(cells.dtype)
    if integer is None or cells.family != "int":
        is_float = cells.family in ("int", "float") and integer is None
        values = python_values(cells)
        return [None if each is None else float(each) for each in values] if is_float else values

    dtype = np.dtype(integer.group().lower())
    inside = in_integer_range(cells, dtype)
    return python_values(Cells("int", inside, cells.missing, cells.dtype))
