"""From rows of numbers back to the cells of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from .cells import MOST_EXACT, Cells, objects
from .column import Column

_EARLIEST = int(np.datetime64("0001-01-01", "us").astype(np.int64))
_LATEST = int(np.datetime64("9999-12-31", "us").astype(np.int64))
_MOST_OF_NANOSECONDS = np.iinfo(np.int64).max // 1000 - 1  # in microseconds


def decoded(
    column: Column,
    numbers: Float64[NDArray[Any], " n"] | None,
    indicator: Float64[NDArray[Any], " n"] | None,
    count: int,
) -> Cells:
    """The cells that a column of rows stands for.

    Whole numbers and dates are rounded, and clamped to what can be represented.

    Args:
        column: what it was at fit.
        numbers: its entries; None for a column without any.
        indicator: 1 where a number is missing; None where none can be.
        count: the number of rows.

    Raises:
        ValueError: for entries that are not finite, and codes of no value.
    """
    none = np.zeros(count, dtype=bool)
    if column.kind == "missing":
        return Cells("null", np.full(count, None), ~none, column.dtype)
    if column.kind == "constant":
        assert column.values is not None
        return _of_values(column, np.zeros(count, dtype=np.int64), none)

    assert numbers is not None
    if not bool(np.isfinite(numbers).all()):
        raise ValueError(f"{column.place}: NaN or infinite in rows; look for the step that made it")
    if column.is_token:
        codes = _codes(column.place, numbers, column.levels)
        missing = codes == len(column.values or ())
        return _of_values(column, np.where(missing, 0, codes), missing)

    is_missing = none
    if indicator is not None:
        is_missing = _codes(f"{column.place}, missing or not", indicator, 2) == 1
    if column.step is None:
        return Cells("float", numbers.astype(np.float64), is_missing, column.dtype)
    whole = np.rint(np.clip(numbers, -MOST_EXACT, MOST_EXACT)).astype(np.int64)
    if column.is_date:
        return Cells("date", _ticks(column, whole), is_missing, column.dtype)
    return Cells("int", whole, is_missing, column.dtype)


def _codes(place: str, numbers: NDArray[Any], levels: int) -> NDArray[np.int64]:
    """Codes as whole numbers. ValueError for those of no value."""
    codes: NDArray[np.int64] = np.rint(np.clip(numbers, -1, levels)).astype(np.int64)
    odd = (codes < 0) | (codes >= levels)
    if bool(odd.any()):
        raise ValueError(f"{place}: code {numbers[odd][0]:g} in rows; give 0 to {levels - 1}")
    return codes


def _of_values(column: Column, codes: NDArray[np.int64], missing: NDArray[Any]) -> Cells:
    """The values of codes."""
    values = column.values
    assert values is not None
    if column.is_date:
        return Cells(
            "date", _ticks(column, np.array(values, np.int64)[codes]), missing, column.dtype
        )

    types = {*map(type, values)}
    if types == {bool}:
        return Cells("bool", np.array(values)[codes], missing, column.dtype)
    if types == {int} and column.categories is None:
        return Cells("int", np.array(values, np.int64)[codes], missing, column.dtype)
    if types == {float} and column.categories is None:
        return Cells("float", np.array(values)[codes], missing, column.dtype)
    family = "text" if column.categories is None else "category"
    return Cells(family, objects(values)[codes], missing, column.dtype, column.categories)


def _ticks(column: Column, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Steps as microseconds, of the years 1 to 9999 and those that the dtype holds."""
    low, high = _EARLIEST, _LATEST
    if "ns" in column.dtype:
        low, high = max(low, -_MOST_OF_NANOSECONDS), min(high, _MOST_OF_NANOSECONDS)
    length = column.ticks
    clamped = np.clip(steps, -(-low // length), high // length)
    return (clamped * length).astype(np.int64)
