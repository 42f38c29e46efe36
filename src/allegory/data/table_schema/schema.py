"""Tables with mixed columns and missing values as rows of numbers, and back.

A row has a number for each column with a density or a probability of whole numbers, in its raw
unit, and after them a code for each column of finitely many values, from 0. A column of numbers
some of which were missing at fit has one more code, 1 where the number is missing; the number is
then the least one at fit and means nothing. A missing value of finitely many is one more value of
its column, the last. Dates are whole steps (days, seconds or microseconds) since 1970, in UTC.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from ...lookup import printable
from ...typed import fields_of
from .column import PLURALS, Column, closest
from .containers import CONTAINERS
from .decoding import decoded
from .output import in_container
from .table_rows import encoded_rows


@dataclass(frozen=True)
class TableSchema:
    """What the columns of a table are, and the order of the entries of its rows.

    Args:
        columns: of the table, in its order.
        given: names of columns that are always known, the y of p(x | y).
        container: as which rows are given back, one of `CONTAINERS`.
        notes: what somebody might not expect of the columns, a sentence each.

    Raises:
        ValueError: for a table without anything that varies, unknown names, and names that an
            entry of another column has.
    """

    columns: tuple[Column, ...]
    given: tuple[str, ...] = ()
    container: str = "numpy"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", tuple(self.given))
        if self.container not in CONTAINERS:
            raise ValueError(f"container={self.container!r}: give one of {', '.join(CONTAINERS)}")
        for column in self.columns:
            column.check()
        if not self.entries:
            raise ValueError(
                f"frame: no column of {len(self.columns)} varies, so there is nothing to learn; "
                "give rows that differ"
            )
        others = [each.name for each in self.columns if not (each.is_number or each.is_token)]
        for name, count in Counter((*self.entries, *others)).items():
            if count > 1:
                raise ValueError(f"column '{printable(name)}': its name is that of another entry")
        _check_given(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in the order of the table."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns whose entry is a number, in the order of the rows."""
        return tuple(column.name for column in self.columns if column.is_number)

    @cached_property
    def tokens(self) -> tuple[tuple[str, int], ...]:
        """Name and number of values of each code, in the order of the rows."""
        own = [(column.name, column.levels) for column in self.columns if column.is_token]
        numbers = [column for column in self.columns if column.is_number and column.missing]
        return (*own, *((_indicator(column.name), 2) for column in numbers))

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries of a row: numbers, tokens, and "NAME is missing"."""
        return (*self.numbers, *(name for name, _ in self.tokens))

    @property
    def dims(self) -> int:
        """The number of entries of a row."""
        return len(self.entries)

    @property
    def is_given(self) -> Bool[NDArray[Any], " dims"]:
        """Which entries belong to the columns that are always known."""
        places = [place for name in self.given for place in self.places(name)]
        is_given = np.zeros(self.dims, dtype=bool)
        is_given[places] = True
        return is_given

    @property
    def is_whole(self) -> Bool[NDArray[Any], " numbers"]:
        """Which of the numbers are whole, dates too, so that a model dequantizes them."""
        return np.array([self.column(name).is_whole for name in self.numbers], dtype=bool)

    def column(self, name: str) -> Column:
        """The column of this name. ValueError, with the closest one, where there is none."""
        found = self._by_name.get(name)
        if found is None:
            raise ValueError(
                f"column '{printable(name)}': unknown; {closest(name, self.names)}there are "
                f"{', '.join(map(printable, self.names[:20]))}"
            )
        return found

    def places(self, name: str) -> tuple[int, ...]:
        """The places of a column in a row: of its entry, and of the code of a missing number."""
        is_number = self.column(name).is_number
        wanted = (name, _indicator(name)) if is_number else (name,)
        return tuple(self._places[each] for each in wanted if each in self._places)

    def rows(self, frame: Any, allow_missing: bool = False) -> Float64[NDArray[Any], "n dims"]:
        """The rows of a table as finite numbers.

        Args:
            frame: a table with these columns, in any order and container.
            allow_missing: whether values may be missing in any column, as they are to be imputed.
                The codes of missing numbers are then 0: what is imputed is a number.

        Raises:
            ValueError: for other columns, and values that no row at fit could have.
        """
        return encoded_rows(self, frame, allow_missing).numbers

    def known(self, frame: Any) -> Bool[NDArray[Any], "n dims"]:
        """Which entries of the rows of `rows(frame, allow_missing=True)` are present.

        Args:
            frame: a table with these columns; any value may be missing.

        Raises:
            ValueError: as `rows`.
        """
        return ~encoded_rows(self, frame, True).is_missing

    def rows_given(self, frame: Any) -> Float64[NDArray[Any], "n dims"]:
        """Rows with the columns in `given` alone; other numbers are the least at fit, codes 0.

        Args:
            frame: a table of those columns alone, or one of all columns.

        Raises:
            ValueError: as `rows`.
        """
        return encoded_rows(self, frame, False, self.given).numbers

    def frame(self, rows: Any) -> Any:
        """The table of rows, in the container, order and dtypes of the table at fit.

        Args:
            rows: numbers (n, dims), as of `rows`; whole numbers, dates and codes are rounded.

        Raises:
            ValueError: for rows of another shape, NaN, and codes of no value.
        """
        array = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, np.float64)
        if array.ndim != 2 or array.shape[1] != self.dims:
            raise ValueError(f"rows: shape {array.shape}; give (n, {self.dims})")

        made = []
        for column in self.columns:
            entries: list[NDArray[Any]] = [array[:, place] for place in self.places(column.name)]
            number, indicator, *_ = (*entries, None, None)
            made.append((column, decoded(column, number, indicator, len(array))))
        return in_container(self.container, made, len(array))

    def check_codes(self, codes: Float64[NDArray[Any], "n tokens"]) -> None:
        """Refuse codes that stand for no value. ValueError.

        Args:
            codes: the last entries of rows, those of `tokens`.
        """
        for (name, levels), each in zip(self.tokens, codes.T, strict=True):
            odd = (each != np.rint(each)) | (each < 0) | (each >= levels)
            if bool(odd.any()):
                raise ValueError(
                    f"column '{printable(name)}': code {each[odd][0]:g}, which is no value of it; "
                    f"give 0 to {levels - 1}"
                )

    def describe(self) -> list[dict[str, Any]]:
        """What each column was taken for, as JSON values; `str(column)` has it in a line."""
        return [
            {**column.describe(), "given": column.name in self.given} for column in self.columns
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_dict`."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableSchema:
        """The schema that `to_dict` wrote. ValueError for fields of another kind."""
        return fields_of(cls, values, "table")

    def __str__(self) -> str:
        """In a few words, e.g. "rows of a table: 3 numbers, 2 categories"."""
        kinds = [column.kind for column in self.columns]
        parts = [
            f"{kinds.count(kind)} {word if kinds.count(kind) == 1 else plural}"
            for kind, (word, plural) in PLURALS.items()
            if kind in kinds
        ]
        given = f", given {', '.join(map(printable, self.given[:12]))}" if self.given else ""

        return f"rows of a table: {', '.join(parts)}{given}"

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.entries)}


def _indicator(name: str) -> str:
    """The name of the code that says whether a number is missing."""
    return f"{name} is missing"


def _check_given(schema: TableSchema) -> None:
    """Refuse names of no column, one twice, and those of all columns that vary."""
    for name in schema.given:
        schema.column(name)
    if len({*schema.given}) < len(schema.given):
        raise ValueError(f"given={schema.given}: names a column twice; leave it out")
    if bool(schema.is_given.all()):
        raise ValueError("given: all columns that vary, so nothing is left to learn; give fewer")
