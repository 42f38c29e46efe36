"""Tables whose columns are all categories: a token is the index of a value of its column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ...lookup import printable
from .base import VOCABULARIES, Vocabulary

Category = str | int | bool
"""A value of a column."""

_KINDS = (str, int, bool)
_SHOWN = 8  # values in a message
_LONGEST = 40  # letters of each
_MOST_VALUES = 65_536
_FEW_VALUES = 100  # of a column that may be of a small table


@dataclass(frozen=True)
class Categories(Vocabulary):
    """The values of each column of a table; level k of column i stands for values[i][k].

    There are as many levels as the column of the most values has, and two at least. Levels beyond
    the values of a column are impossible there (`allowed`).

    Args:
        values: of each column, text, whole numbers or booleans; each of them once.

    Raises:
        ValueError: for no columns, one without values, other kinds, and values that are there
            twice.
    """

    values: tuple[tuple[Category, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(tuple(each) for each in self.values))
        if not self.values or not all(self.values):
            raise ValueError("values: give the values of each column, one at least")
        for place, column in enumerate(self.values):
            if not all(type(value) in _KINDS for value in column):
                raise ValueError(f"values of column {place}: give text, whole numbers or booleans")
            if len({*map(str, column)}) < len(column):
                raise ValueError(f"values of column {place}: give each of them once")

    @classmethod
    def of(cls, columns: Sequence[NDArray[Any]], names: Sequence[str] | None = None) -> Categories:
        """The values that occur in each column, in sorted order.

        Args:
            columns: values of all items, one array for each column.
            names: of the columns, for messages; None for none.

        Raises:
            ValueError: for a column with an empty cell, values of several kinds or of none that is
                a category, and more different values than 100 and than half of the items.
        """
        found = []

        for place, column in enumerate(columns):
            name = _named(place, names)
            values = _different(name, column)
            if len(values) > min(max(_FEW_VALUES, len(column) // 2), _MOST_VALUES):
                raise ValueError(
                    f"{name}: {len(values):,} different values in {len(column):,} rows are no "
                    "categories; leave it out, or read it as text (text:FILE?text=COLUMN)"
                )
            found.append(tuple(values))

        return cls(tuple(found))

    @property
    def levels(self) -> int:
        """The largest number of values of a column, two at least."""
        return max(2, *map(len, self.values))

    def __str__(self) -> str:
        counts = sorted({*map(len, self.values)})
        shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"categories, {shown} in a column"

    def encode(
        self, columns: Sequence[NDArray[Any]], names: Sequence[str] | None = None
    ) -> Int64[Tensor, "n columns"]:
        """The index of each value in its column.

        Args:
            columns: values of all items, one array for each column.
            names: of the columns, for messages; None for none.

        Raises:
            ValueError: for another number of columns, and a value that its column does not have.
        """
        if len(columns) != len(self.values):
            raise ValueError(f"{len(columns)} columns, and there are {len(self.values)}")

        tokens = []
        for place, column in enumerate(columns):
            different = _different(_named(place, names), column)
            index = torch.tensor(self._index(place, different, names))
            at = {value: number for number, value in enumerate(different)}
            tokens.append(index[[at[value] for value in _plain_values(column)]])

        return torch.stack(tokens, dim=1)

    def decode(self, tokens: Shaped[Tensor, "n columns"]) -> list[list[Category]]:
        """The values of each item.

        Raises:
            ValueError: for numbers that are no tokens.
        """
        rows = tokens.tolist()
        counts = torch.tensor([*map(len, self.values)])

        if not bool(((tokens.cpu() >= 0) & (tokens.cpu() < counts)).all()):
            raise ValueError(f"tokens: some stand for no value of their column, of {self}")

        return [
            [values[token] for values, token in zip(self.values, row, strict=True)] for row in rows
        ]

    def allowed(self, shape: tuple[int, ...]) -> Bool[Tensor, "*shape levels"] | None:
        """The values that each column has; None where all have as many as there are levels."""
        counts = torch.tensor([*map(len, self.values)])
        if bool((counts == self.levels).all()):
            return None
        return torch.arange(self.levels) < counts[:, None]

    def check_fits(self, shape: tuple[int, ...], columns: tuple[str, ...] | None) -> None:
        """Refuse items of another number of columns. ValueError."""
        if shape != (len(self.values),):
            raise ValueError(
                f"vocabulary: values of {len(self.values)} columns for items of shape {shape}; "
                "give those of each number of an item"
            )

    def reordered(self, order: Sequence[int]) -> Categories:
        """The values of the columns in another order."""
        return Categories(tuple(self.values[place] for place in order))

    def translate(
        self,
        tokens: Int64[Tensor, "n length"],
        other: Vocabulary,
        columns: Sequence[str] | None = None,
    ) -> Int64[Tensor, "n length"]:
        """Tokens by the value that they stand for; the text of a value stands for it."""
        if not isinstance(other, Categories) or len(other.values) != len(self.values):
            raise ValueError(f"{other}, and the run learned {self}; give a table of such columns")

        found = []

        for place, column in enumerate(tokens.T):
            present, index = column.unique(return_inverse=True)
            values = [other.values[place][level] for level in present.tolist()]
            found.append(torch.tensor(self._index(place, values, columns))[index])

        return torch.stack(found, dim=1)

    def untrained(
        self, tokens: Shaped[Tensor, "n length"], columns: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """A sentence on each column with values that no training item has."""
        notes = []

        for place, values in enumerate(self.values):
            seen = {*tokens[:, place].unique().tolist()}
            missing = [value for level, value in enumerate(values) if level not in seen]
            if missing:
                notes.append(
                    f"{_named(place, columns)}: no training item has {_shown(missing)}: "
                    "likelihoods of items with it mean nothing"
                )

        return tuple(notes)

    def _index(
        self, place: int, values: Sequence[Category], names: Sequence[str] | None
    ) -> list[int]:
        """The level of each value of a column. ValueError for a value that it does not have."""
        known = {str(value): level for level, value in enumerate(self.values[place])}
        missing = [value for value in values if str(value) not in known]
        if missing:
            raise ValueError(
                f"{_named(place, names)}: {_shown(missing)}: no category of it; there are "
                f"{_shown(self.values[place])}; leave those items out"
            )

        return [known[str(value)] for value in values]


def are_categories(column: NDArray[Any]) -> bool:
    """Whether a column holds text or booleans, empty cells aside."""
    if column.dtype.kind != "O":
        return column.dtype.kind in "UTb"
    return all(isinstance(value, str | bool | np.bool_) or _is_empty(value) for value in column)


def _different(name: str, column: NDArray[Any]) -> list[Category]:
    """The values that occur, sorted. ValueError for an empty cell, and values of several kinds."""
    different = {*_plain_values(column)}

    if any(_is_empty(value) for value in different):
        raise ValueError(
            f"{name}: a cell is empty; leave such rows out, or give them a value of their own, "
            "such as 'missing'"
        )
    if len({type(value) for value in different}) > 1 or not all(
        type(value) in _KINDS for value in different
    ):
        raise ValueError(f"{name}: values of several kinds; save all of them as text")

    return sorted(different)


def _plain_values(column: NDArray[Any]) -> list[Any]:
    """The values as those of Python; NaN as None, which is equal to itself."""
    values: list[Any] = np.asarray(column).tolist()
    return [None if _is_empty(value) else value for value in values]


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _named(place: int, names: Sequence[str] | None) -> str:
    return f"column {place}" if names is None else f"column '{printable(names[place])}'"


def _shown(values: Sequence[Category]) -> str:
    shown = ", ".join(f"'{printable(value)[:_LONGEST]}'" for value in values[:_SHOWN])
    return shown + (f", ... ({len(values):,} in all)" if len(values) > _SHOWN else "")


VOCABULARIES.register("Categories", Categories, "tables whose columns are all categories")
