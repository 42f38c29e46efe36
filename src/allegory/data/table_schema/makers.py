"""The column of cells that are of one kind: its values or its range, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import FAMILIES, MOST_EXACT, Cells, plain_value
from .column import CellValue, Column

_MOST_CATEGORIES = 65_536
_FEW_CATEGORIES = 100  # of a column that may be of a small table
_DAY = 86_400_000_000  # microseconds
_SECOND = 1_000_000


class Unfit(ValueError):
    """Cells that are not of the kind that is declared; the message has no name yet."""


def _number(name: str, cells: Cells, missing: bool) -> Column:
    """Numbers of a density."""
    _check_family(cells, ("float", "int", "bool"), "no number; convert it, e.g. by astype(float)")
    present = cells.present.astype(np.float64)
    _check_numbers(present)
    return _of_numbers(Column(name, "number", missing=missing), present, cells.family)


def _whole(name: str, cells: Cells, missing: bool) -> Column:
    """Whole numbers that a model dequantizes."""
    present = _whole_numbers(cells)
    return _of_numbers(Column(name, "whole", step=1.0, missing=missing), present, "int")


def _few(name: str, cells: Cells, missing: bool) -> Column:
    """Whole numbers of few values, which are tokens."""
    values = tuple(int(each) for each in np.unique(_whole_numbers(cells)))
    return _of_values(Column(name, "whole", missing=missing), values)


def _boolean(name: str, cells: Cells, missing: bool) -> Column:
    """Booleans, or numbers that are 0 or 1."""
    _check_family(cells, ("bool", "int", "float"), "no boolean; leave its kind out")
    if not bool(np.isin(cells.present, (0, 1)).all()):
        raise Unfit("numbers other than 0 and 1 are no booleans; leave its kind out")
    values = tuple(plain_value(each) for each in np.unique(cells.present))
    return _of_values(Column(name, "boolean", missing=missing), values)


def _category(name: str, cells: Cells, missing: bool) -> Column:
    """Text, or any other values without an order."""
    if cells.family == "date":
        raise Unfit("dates are no categories; make text of them, or leave its kind out")
    if cells.family == "float":
        _check_numbers(cells.present)
    seen = {plain_value(value) for value in cells.present}
    most = min(max(_FEW_CATEGORIES, len(cells) // 2), _MOST_CATEGORIES)
    if len(seen) > most:
        raise Unfit(
            f"{len(seen):,} different values in {len(cells):,} rows are no categories; leave the "
            "column out"
        )

    order = sorted(seen) if cells.categories is None else cells.categories
    values = tuple(value for value in order if value in seen)
    return _of_values(Column(name, "category", missing=missing), values)


def _date(name: str, cells: Cells, missing: bool) -> Column:
    """Days, or times."""
    _check_family(cells, ("date",), "no date; convert it, e.g. by pandas.to_datetime")
    ticks = cells.present
    step, length = 1e-6, 1
    for seconds, unit in ((1.0, _SECOND), (86400.0, _DAY)):
        if bool((ticks % unit == 0).all()):
            step, length = seconds, unit

    steps = (ticks // length).astype(np.float64)
    _check_exact(steps, "microseconds since 1970", "round times to seconds")
    return _of_numbers(Column(name, "date", step=step, missing=missing), steps, "date")


MAKERS: dict[str, Callable[[str, Cells, bool], Column]] = {
    "number": _number,
    "whole": _whole,
    "_few": _few,
    "boolean": _boolean,
    "category": _category,
    "date": _date,
}


def _of_numbers(column: Column, present: NDArray[np.float64], family: str) -> Column:
    """The column of these numbers; a single one is a constant, or a token if some are missing."""
    low, high = (float(end) for end in (present.min(initial=np.inf), present.max(initial=-np.inf)))
    if len(present) == 0:
        raise Unfit("no rows; give at least two, which differ")
    column = replace(column, low=low, high=high)
    if low < high:
        return column

    value: CellValue = int(low) if family != "float" and low.is_integer() else low
    kind = column.kind if column.missing else "constant"
    step = column.step if family == "date" else None
    return replace(column, kind=kind, values=(value,), step=step)


def _of_values(column: Column, values: tuple[CellValue, ...]) -> Column:
    """The column of these values; a single one is a constant unless some are missing."""
    if not values:
        raise Unfit("no rows; give at least two, which differ")
    is_constant = len(values) == 1 and not column.missing
    return replace(column, kind="constant" if is_constant else column.kind, values=values)


def _whole_numbers(cells: Cells) -> NDArray[np.float64]:
    """The numbers that are there. Unfit for fractions, and for those that are not exact."""
    _check_family(cells, ("int", "float", "bool"), "no whole numbers; leave its kind out")
    present = cells.present.astype(np.float64)
    _check_numbers(present)
    if not bool((present == np.floor(present)).all()):
        raise Unfit("some numbers have a fraction; round them, or leave its kind out")
    _check_exact(present, "whole numbers", "subtract the smallest, or save them as text")
    return present


def _check_family(cells: Cells, families: tuple[str, ...], problem: str) -> None:
    if cells.family not in families:
        raise Unfit(f"{FAMILIES[cells.family]} ({cells.dtype}), {problem}")


def _check_numbers(present: NDArray[Any]) -> None:
    infinite = int(np.isinf(present).sum())
    if infinite:
        raise Unfit(f"{infinite:,} infinite numbers; replace them by missing ones, or leave out")


def _check_exact(present: NDArray[np.float64], what: str, remedy: str) -> None:
    most = float(np.abs(present).max(initial=0.0))
    if most > MOST_EXACT:
        raise Unfit(f"{what} up to {most:g}, and double precision is exact up to 2^53; {remedy}")
