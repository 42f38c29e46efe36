"""The cells of a column, apart from the container that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from numpy.typing import NDArray

from .column import CellValue

FAMILIES = {
    "float": "numbers",
    "int": "whole numbers",
    "bool": "booleans",
    "text": "text",
    "category": "categories",
    "date": "dates",
    "null": "missing values",
}
"""What cells can be, and what they are called in messages."""

MOST_EXACT = 2.0**53
"""The largest whole number that double precision tells from its neighbours."""

_TYPES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("bool", (bool, np.bool_)),
    ("int", (int, np.integer)),
    ("float", (float, np.floating)),
    ("text", (str,)),
    ("date", (date, np.datetime64)),
)
_EMPTY = ("NAType", "NaTType", "NoneType")


class NoColumn(ValueError):
    """Cells that make no column; the message has no name yet."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The values of a column.

    Args:
        family: what they are, one of `FAMILIES`.
        values: float64, int64 or bool; objects for text and categories; for dates int64, in
            microseconds since 1970 (UTC). Where one is missing it is any.
        missing: which are missing.
        dtype: as which the container has them.
        categories: of a categorical dtype, in order; None for others.
        notes: what is lost of them, after the name of the column.
    """

    family: str
    values: Shaped[NDArray[Any], " n"]
    missing: Bool[NDArray[Any], " n"]
    dtype: str
    categories: tuple[CellValue, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.missing)

    @property
    def present(self) -> NDArray[Any]:
        """The values that are there."""
        found: NDArray[Any] = self.values[~self.missing]
        return found


def cells_of_array(array: NDArray[Any]) -> Cells:
    """The cells of a numpy array of one axis.

    Raises:
        NoColumn: for a dtype that is neither numbers, text, booleans nor dates.
    """
    kind, dtype = array.dtype.kind, str(array.dtype)
    if kind == "O":
        return cells_of_objects(array)

    none = np.zeros(len(array), bool)
    if kind == "f":
        values = array.astype(np.float64)
        return Cells("float", values, np.isnan(values), dtype)
    if kind in "iu":
        return Cells("int", whole_array(array), none, dtype)
    if kind == "b":
        return Cells("bool", array, none, dtype)
    if kind in "UT":
        return Cells("text", array.astype(object), none, dtype)
    if kind == "M":
        missing = np.isnat(array)
        ticks = array.astype("datetime64[us]").astype(np.int64)
        return Cells("date", ticks, missing, dtype, notes=finer_note(array, missing))
    raise NoColumn(
        f"{dtype}, neither numbers, text, booleans nor dates; convert it or leave it out"
    )


def cells_of_objects(array: NDArray[Any]) -> Cells:
    """The cells of an array of Python objects of one type, None and NaN aside.

    Raises:
        NoColumn: for objects of several types, or of another one.
    """
    missing = np.array([is_absent(value) for value in array], dtype=bool)
    present = array[~missing]
    family = _family({type(value) for value in present})

    is_nan = any(isinstance(value, float) for value in array[missing])
    flavor = "[nan]" if is_nan else ""
    if family == "date":
        flavor = "[datetime]" if any(isinstance(each, datetime) for each in present) else "[date]"
    values = np.zeros(len(array), dtype=_DTYPES[family])
    values[~missing] = _plain(family, present)
    return Cells(family, values, missing, f"object{flavor}")


_DTYPES: dict[str, Any] = {
    "bool": bool,
    "int": np.int64,
    "float": np.float64,
    "text": object,
    "date": np.int64,
    "null": object,
}


def whole_array(array: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers as int64. NoColumn for numbers beyond it."""
    if array.dtype.kind == "u" and len(array) and int(array.max()) >= 1 << 63:
        raise NoColumn(f"whole numbers up to {int(array.max())}; subtract the smallest, or divide")
    return array.astype(np.int64)


def finer_note(array: NDArray[Any], missing: NDArray[Any]) -> tuple[str, ...]:
    """A note on times between two microseconds, which are lost."""
    present = array[~missing]
    coarse = present.astype("datetime64[us]")
    if bool((coarse.astype(array.dtype) == present).all()):
        return ()
    return ("times are taken as whole microseconds",)


def is_absent(value: Any) -> bool:
    """Whether a cell is None, NaN, NaT or NA."""
    if isinstance(value, str):
        return False
    if isinstance(value, float | np.floating):
        return bool(value != value)
    is_nat = isinstance(value, np.datetime64) and bool(np.isnat(value))
    return is_nat or type(value).__name__ in _EMPTY


def plain_value(value: Any) -> Any:
    """A value of numpy as one of Python; others as they are."""
    return value.item() if isinstance(value, np.generic) else value


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """An array of objects, which stay as they are."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _family(types: Iterable[type]) -> str:
    """What objects of these types are."""
    found = {
        next((family for family, kinds in _TYPES if issubclass(each, kinds)), each.__name__)
        for each in types
    }
    if found == {"int", "float"}:
        return "float"
    if len(found) > 1:
        raise NoColumn(f"values of several kinds ({', '.join(sorted(found))}); save all as text")

    family = next(iter(found), "null")
    if family not in FAMILIES:
        raise NoColumn(
            f"objects of type {family}, neither numbers, text, booleans nor dates; convert them or "
            "leave the column out"
        )
    return family


def _plain(family: str, present: NDArray[Any]) -> Any:
    """Objects of one family as an array of its dtype."""
    if family != "date":
        try:
            return present.astype(_DTYPES[family])
        except OverflowError:
            raise NoColumn("whole numbers beyond 2^63; divide them, or save them as text") from None
    if any(getattr(value, "tzinfo", None) is not None for value in present):
        raise NoColumn("times with a zone as objects; convert them, e.g. by pandas.to_datetime")

    return np.array(list(present), dtype="datetime64[us]").astype(np.int64)
