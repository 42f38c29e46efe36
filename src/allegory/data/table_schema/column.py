"""One column of a table: what its values are, and how it is given back."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...lookup import printable

CellValue = str | int | float | bool
"""A value of a column of finitely many."""

COLUMN_KINDS = {
    "number": "numbers of a density",
    "whole": "whole numbers, which have a probability",
    "category": "finitely many values without an order",
    "boolean": "true or false",
    "date": "days or times",
}
"""The kinds that a column can be declared to be, with a line on each."""

PLURALS = {
    "number": ("number", "numbers"),
    "whole": ("whole number", "whole numbers"),
    "date": ("date", "dates"),
    "category": ("category", "categories"),
    "boolean": ("boolean", "booleans"),
    "constant": ("constant", "constants"),
    "missing": ("empty column", "empty columns"),
}
"""What one column of a kind is called, and several."""

_UNITS = {86400.0: "days", 1.0: "seconds", 1e-6: "microseconds"}
_LENGTHS = {86400.0: 86_400_000_000, 1.0: 1_000_000, 1e-6: 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 6  # values in a message
_LONGEST = 40  # letters of each


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Args:
        name: of the column, as text.
        kind: one of `COLUMN_KINDS`; "constant" for a single value, which has no density, and
            "missing" for a column without any value.
        values: the possible values in order, where there are finitely many; None for numbers of a
            density, and for whole numbers and dates that are numbers of a row. Dates are steps.
        low: the least number at fit; None where values are no numbers.
        high: the greatest number at fit, likewise.
        step: distance of neighbouring whole numbers, 1; that of dates in seconds: 86400, 1 or 1e-6.
            None for all others.
        missing: whether values were missing at fit.
        dtype: as which the container has it.
        label: the name in the container where that is no text; None for `name`.
        categories: of a categorical dtype, those that do not occur included; None for others.
    """

    name: str
    kind: str
    values: tuple[CellValue, ...] | None = None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    missing: bool = False
    dtype: str = ""
    label: int | None = None
    categories: tuple[CellValue, ...] | None = None

    def check(self) -> None:
        """Refuse an unknown kind or step, and a column without what its kind needs. ValueError."""
        kinds = (*COLUMN_KINDS, "constant", "missing")
        if self.kind not in kinds:
            raise ValueError(
                f"{self.place}: kind {self.kind!r:.40}; give one of {', '.join(kinds)}"
            )
        if self.step is not None and self.step not in _UNITS:
            raise ValueError(f"{self.place}: step {self.step}; give 86400, 1, 1e-6 or None")

        ends = (self.low, self.high)
        if self.is_number and (None in ends or (self.kind == "date" and self.step is None)):
            raise ValueError(f"{self.place}: {self.kind} without low, high or step; give them")
        if not self.is_number and self.kind != "missing" and not self.values:
            raise ValueError(f"{self.place}: {self.kind} without values; give one at least")

    @property
    def is_token(self) -> bool:
        """Whether an entry of a row is the index of one of its values."""
        return self.values is not None and self.kind != "constant"

    @property
    def is_number(self) -> bool:
        """Whether an entry of a row is its number."""
        return self.values is None and self.kind != "missing"

    @property
    def is_date(self) -> bool:
        """Whether its values are days or times, also where they are all alike."""
        return self.kind == "date" or (self.kind == "constant" and self.step is not None)

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole, so that a model dequantizes them: dates are too."""
        return self.is_number and self.step is not None

    @property
    def levels(self) -> int:
        """The number of values of a token; a missing value is one more, the last."""
        assert self.values is not None
        return len(self.values) + self.missing

    @property
    def ticks(self) -> int:
        """The step of dates in microseconds."""
        assert self.step is not None
        return _LENGTHS[self.step]

    @property
    def place(self) -> str:
        """What it is called in messages, e.g. "column 'age'"."""
        return f"column '{printable(self.name)}'"

    def describe(self) -> dict[str, Any]:
        """Its fields as JSON values; dates are text."""
        about = {name: value for name, value in asdict(self).items() if value is not None}
        for end in ("low", "high"):
            if self.is_date and end in about:
                about[end] = self.text(about[end])
        if self.is_token:
            about["levels"] = self.levels
        return about

    def text(self, value: CellValue) -> str:
        """A value as text; a date as ISO 8601 in UTC."""
        if not self.is_date:
            return f"{value:g}" if isinstance(value, float) else printable(value)[:_LONGEST]
        try:
            when = _EPOCH + timedelta(microseconds=int(value) * self.ticks)
        except OverflowError:
            return f"{value:g} steps since 1970"
        return when.date().isoformat() if self.ticks == _LENGTHS[86400.0] else when.isoformat()

    @property
    def summary(self) -> str:
        """Its kind and values in a few words, e.g. "number, 0.2 to 5.01"."""
        what = self.kind
        if self.kind == "constant" and self.values:
            what = f"constant, {self.text(self.values[0])}"
        elif self.values is not None:
            what = f"{self.kind}, {len(self.values)} values ({shown(map(self.text, self.values))})"
        elif self.low is not None and self.high is not None:
            unit = f" in {_UNITS[self.step]}" if self.is_date and self.step in _UNITS else ""
            what = f"{self.kind}{unit}, {self.text(self.low)} to {self.text(self.high)}"

        some = ", some missing" if self.missing and self.kind != "missing" else ""
        return f"{what}{some}"

    def __str__(self) -> str:
        """In a few words, e.g. "carat: number, 0.2 to 5.01" or "cut: category, 5 values"."""
        return f"{printable(self.name)}: {self.summary}"


def shown(values: Iterable[object]) -> str:
    """The first few values with commas between them."""
    texts = [printable(value)[:_LONGEST] for value in values]
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")


def closest(name: object, known: Iterable[object]) -> str:
    """A question with the known name that is most like one that is unknown; "" where none is."""
    found = difflib.get_close_matches(str(name), [*map(str, known)], n=1, cutoff=0.5)
    return f"did you mean '{printable(found[0])}'? " if found else ""


def counted(number: int, total: int) -> str:
    """How many of so many rows, e.g. "1 of 10 rows"."""
    return f"{number:,} of {total:,} row{'s' if total > 1 else ''}"
