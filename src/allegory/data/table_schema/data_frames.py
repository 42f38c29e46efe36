"""Data frames of pandas, polars and pyarrow, read through narwhals."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from .cells import (
    FAMILIES,
    Cells,
    NoColumn,
    cells_of_objects,
    finer_note,
    is_absent,
    objects,
    plain_value,
    whole_array,
)
from .column import CellValue
from .containers import OpenTable


def open_data_frame(frame: Any) -> OpenTable:
    """The table in a data frame.

    Args:
        frame: of pandas, polars or pyarrow.

    Raises:
        ValueError: for one of another library, and one that is not computed yet.
    """
    if nw.dependencies.is_pandas_dataframe(frame):
        return OpenTable(
            "pandas", tuple(frame.columns), len(frame), lambda place: _cells(frame.iloc[:, place])
        )
    if nw.dependencies.is_polars_dataframe(frame):
        return OpenTable(
            "polars", tuple(frame.columns), len(frame), lambda place: _cells(frame.to_series(place))
        )
    if nw.dependencies.is_pyarrow_table(frame):
        names = tuple(frame.column_names)
        return OpenTable("pyarrow", names, len(frame), lambda place: _cells(frame.column(place)))

    remedy = "collect it first" if hasattr(frame, "collect") else "convert it, as by to_pandas()"
    raise ValueError(
        f"frame: {type(frame).__module__}.{type(frame).__name__}, no data frame of pandas, polars "
        f"or pyarrow; {remedy}"
    )


def _cells(native: Any) -> Cells:
    """The cells of a column of a data frame."""
    series = nw.from_native(native, series_only=True)
    kind, dtype = series.dtype, str(getattr(native, "type", getattr(native, "dtype", "")))
    if dtype == "object":
        return cells_of_objects(native.to_numpy())
    if dtype == "date64[ms]":
        series = nw.from_native(native.cast("date32[day]"), series_only=True)
        kind = series.dtype

    missing = np.asarray(series.is_null().to_numpy(), dtype=bool)
    if isinstance(kind, nw.Categorical | nw.Enum) or dtype.startswith("dictionary"):
        return _categories(series, missing, dtype)
    if dtype in ("Null", "null", "null[pyarrow]") or (len(missing) and bool(missing.all())):
        return Cells(_family(kind, dtype), np.zeros(len(missing)), missing, dtype)

    family = _family(kind, dtype)
    if family == "text":
        return Cells("text", objects(series.to_list()), missing, dtype)
    if family == "date":
        return _dates(series, missing, dtype)
    if family == "float":
        numbers = series.cast(nw.Float64).to_numpy().astype(np.float64)
        return Cells("float", numbers, missing | np.isnan(numbers), dtype)

    filled = series.fill_null(False if family == "bool" else 0) if missing.any() else series
    values = np.asarray(filled.to_numpy())
    values = values.astype(bool) if family == "bool" else whole_array(values)
    return Cells(family, values, missing, dtype)


def _family(kind: Any, dtype: str) -> str:
    """What cells of a dtype are. NoColumn for one that is none of `FAMILIES`."""
    if isinstance(kind, nw.Date | nw.Datetime):
        return "date"
    if isinstance(kind, nw.String):
        return "text"
    if isinstance(kind, nw.Boolean):
        return "bool"
    if kind.is_float():
        return "float"
    if kind.is_integer():
        return "int"
    if dtype in ("Null", "null", "null[pyarrow]"):
        return "null"

    assert "date" in FAMILIES
    remedy = "cast it to floats" if kind.is_decimal() else "convert it or leave it out"
    raise NoColumn(f"{dtype}, neither numbers, text, booleans nor dates; {remedy}")


def _dates(series: Any, missing: NDArray[Any], dtype: str) -> Cells:
    """Days or times in microseconds since 1970, in UTC."""
    stamps = series.dt.timestamp("us")
    ticks = np.asarray((stamps.fill_null(0) if missing.any() else stamps).to_numpy())

    notes: tuple[str, ...] = ()
    if getattr(series.dtype, "time_unit", "us") == "ns":
        nanoseconds = np.asarray(series.dt.timestamp("ns").fill_null(0).to_numpy())
        exact = nanoseconds.astype(np.int64).astype("datetime64[ns]")
        notes = finer_note(exact, missing)
    return Cells("date", ticks.astype(np.int64), missing, dtype, notes=notes)


def _categories(series: Any, missing: NDArray[Any], dtype: str) -> Cells:
    """Values of a categorical dtype, and all its categories in order."""
    native = series.to_native()
    if hasattr(native, "cat") and hasattr(native.cat, "codes"):
        index = native.cat.categories
        known = _plain_categories(index.to_list())
        table = objects([*known, None])
        full = f"{'ordered ' if native.cat.ordered else ''}category[{index.dtype}]"
        return Cells("category", table[native.cat.codes.to_numpy()], missing, full, known)

    found = objects(series.to_list())
    if isinstance(series.dtype, nw.Enum):
        known = _plain_categories(list(series.dtype.categories))
        return Cells("category", found, missing, "Enum", known)
    _plain_categories([value for value in found if not is_absent(value)])
    short = "Categorical" if dtype.startswith("Categorical") else dtype
    return Cells("category", found, missing, short)


def _plain_categories(values: list[Any]) -> tuple[CellValue, ...]:
    """Categories as values of Python. NoColumn for intervals and other objects."""
    plain = tuple(plain_value(value) for value in values)
    for value in plain:
        if not isinstance(value, str | int | float | bool):
            raise NoColumn(
                f"categories of type {type(value).__name__}; make text of them, e.g. by "
                "frame[column].astype(str)"
            )

    return plain
