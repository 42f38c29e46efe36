"""From the cells of a column to numbers of rows, with what was refused at fit refused again."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from ...lookup import printable
from .cells import FAMILIES, MOST_EXACT, Cells, plain_value
from .column import Column, closest, counted, shown

_FAMILIES: dict[str, tuple[str, ...]] = {
    "number": ("float", "int", "bool"),
    "whole": ("int", "float", "bool"),
    "date": ("date",),
}


def encoded(
    column: Column, cells: Cells, allow_missing: bool
) -> tuple[Float64[NDArray[Any], " n"], Bool[NDArray[Any], " n"]]:
    """The number or the code of each cell, and which are missing.

    A missing number is the least one at fit. A missing value has the last code where some were
    missing at fit, else 0.

    Args:
        column: what it was at fit.
        cells: of the rows.
        allow_missing: whether values may be missing that never were at fit.

    Raises:
        ValueError: for cells of another family, missing ones, unknown values, fractions of whole
            numbers, and infinite numbers.
    """
    total = len(cells)
    missing = int(cells.missing.sum())
    if missing and not (column.missing or allow_missing):
        raise ValueError(
            f"{column.place}: missing in {counted(missing, total)}, and in none at fit; fill them "
            "in, leave those rows out, or fit with some missing"
        )
    if column.kind == "missing":
        if missing < total:
            raise ValueError(
                f"{column.place}: values in {counted(total - missing, total)}, and all were "
                "missing at fit; fit again"
            )
        return np.zeros(total), cells.missing

    if column.values is not None and not column.is_date:
        return _codes(column, cells), cells.missing
    numbers = np.full(total, 0.0 if column.low is None else column.low)
    numbers[~cells.missing] = _numbers(column, cells)
    if column.values is not None:
        return _codes_of_dates(column, numbers, cells.missing), cells.missing
    return numbers, cells.missing


def _numbers(column: Column, cells: Cells) -> NDArray[np.float64]:
    """The numbers that are there; dates as steps since 1970."""
    if len(cells.present) == 0:
        return np.zeros(0)
    _check_family(column, cells)
    present: NDArray[np.float64] = cells.present.astype(np.float64)
    infinite = int(np.isinf(present).sum())
    if infinite:
        raise ValueError(
            f"{column.place}: infinite in {counted(infinite, len(cells))}; remove those rows"
        )
    if column.step is None:
        return present

    if column.is_date:
        return _steps(column, cells.present)
    odd = present != np.floor(present)
    if bool(odd.any()):
        raise ValueError(
            f"{column.place}: whole numbers at fit, and {counted(int(odd.sum()), len(cells))} have "
            f"a fraction, such as {present[odd][0]:g}; round them, or fit with "
            f"kinds={{'{printable(column.name)}': 'number'}}"
        )
    _check_exact(column, present)
    return present


def _steps(column: Column, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Microseconds as steps. ValueError for times between two steps."""
    odd = ticks % column.ticks != 0
    if bool(odd.any()):
        what = {86400.0: "days", 1.0: "whole seconds"}[column.step or 1.0]
        raise ValueError(
            f"{column.place}: {what} at fit, and {counted(int(odd.sum()), len(ticks))} lie between "
            f"two of them, such as {np.datetime64(int(ticks[odd][0]), 'us')}; round them"
        )
    steps: NDArray[np.float64] = (ticks // column.ticks).astype(np.float64)
    _check_exact(column, steps)

    return steps


def _check_exact(column: Column, numbers: NDArray[np.float64]) -> None:
    most = float(np.abs(numbers).max(initial=0.0))
    if most > MOST_EXACT:
        raise ValueError(
            f"{column.place}: {most:g} is beyond 2^53, up to which double precision is exact; "
            "leave those rows out"
        )


def _check_family(column: Column, cells: Cells) -> None:
    """Refuse text in a column of numbers, and so on."""
    if cells.family in _FAMILIES[column.kind if column.kind in _FAMILIES else "date"]:
        return
    remedy = "convert it as it was at fit"
    if column.is_date:
        remedy = "convert it, e.g. by pandas.to_datetime"
    raise ValueError(
        f"{column.place}: {FAMILIES[cells.family]} ({cells.dtype}), and it was "
        f"a {column.kind} at fit; {remedy}"
    )


def _codes(column: Column, cells: Cells) -> NDArray[np.float64]:
    """The place of each value among those of the column."""
    assert column.values is not None
    known = {value: code for code, value in enumerate(column.values)}
    wanted = {*map(type, column.values)}
    codes = np.full(len(cells), len(known) if column.missing else 0, dtype=np.float64)
    plain = [plain_value(value) for value in cells.present]
    found = np.array([known.get(value, -1) for value in plain], dtype=np.float64)

    if bool((found < 0).any()):
        odd = [value for value, code in zip(plain, found, strict=True) if code < 0]
        _refuse_values(column, odd, len(cells), wanted)
    codes[~cells.missing] = found
    return codes


def _codes_of_dates(
    column: Column, steps: NDArray[np.float64], missing: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The code of the only date of a column, or of a missing one."""
    assert column.values is not None
    odd = (steps != column.values[0]) & ~missing
    if bool(odd.any()):
        _refuse_values(column, [column.text(value) for value in steps[odd]], len(steps), {str})
    codes: NDArray[np.float64] = (missing & column.missing).astype(np.float64)
    return codes


def _refuse_values(column: Column, odd: list[Any], total: int, wanted: set[type]) -> None:
    """ValueError for values that were not there at fit."""
    assert column.values is not None
    different = list(dict.fromkeys(odd))
    known = [column.text(value) for value in column.values]
    rows = f"in {counted(len(odd), total)}"
    if column.kind == "constant":
        raise ValueError(
            f"{column.place}: {shown(different)} {rows}, and every value was {known[0]} at fit; "
            "leave those rows out, or fit again"
        )

    hint = closest(different[0], known) if wanted == {str} else ""
    raise ValueError(
        f"{column.place}: '{shown(different)}' {rows}, no value of it at fit; {hint}there are "
        f"{shown(known)}; leave those rows out, or fit again"
    )
