"""The values in columns of a table: images, labels and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..lookup import printable
from .condition_kinds import Columns
from .encoded import Encoded
from .memory import check_memory
from .parquet_files import Table

_ROWS_AT_ONCE = 32  # of images
_LONGEST_LABEL = 200


@dataclass(frozen=True)
class ImageCells:
    """The images in a column, in order; a few rows are in memory at a time.

    Args:
        table: the rows.
        column: name of the column.
        part: the set, for names.
    """

    table: Table
    column: str
    part: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.table.rows

    def __iter__(self) -> Iterator[Encoded]:
        """Each image with its name."""
        row = 0
        for batch in self.table.read([self.column], _ROWS_AT_ONCE):
            for cell in batch.column(0):
                name = f"{self.part}, row {row}"
                yield Encoded(name, self._content(cell.as_py(), row))
                row += 1
        if row != self.table.rows:
            raise ValueError(f"{self.part}: {row} rows, and its end says {self.table.rows}")

    def _content(self, cell: Any, row: int) -> bytes | Path:
        """The bytes of an image, or the path of one that lies where it may."""
        content: Any = cell
        if isinstance(cell, dict):
            content = cell.get("bytes") or cell.get("path")
        if not content:
            raise ValueError(f"column {self.column!r}: row {row} is empty; remove it")
        if isinstance(content, bytes):
            return content

        assert isinstance(content, str)
        for folder in self.table.folders:
            with suppress(OSError, ValueError, RuntimeError):  # no path, or a circle of links
                path = (folder / content).resolve()
                if path.is_relative_to(folder) and path.is_file():
                    return path
        raise ValueError(
            f"column {self.column!r}: row {row} names {content!r}, no file in the folder of the "
            "table; put the images there, or into the table"
        )


@dataclass(frozen=True)
class Joined:
    """The images of several sets, one set after the other.

    Args:
        sets: the images of each.
    """

    sets: tuple[ImageCells, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(map(len, self.sets))

    def __iter__(self) -> Iterator[Encoded]:
        """Each image with its name."""
        for cells in self.sets:
            yield from cells


def label_values(table: Table, column: str) -> tuple[NDArray[np.generic], list[str] | None]:
    """The class of each row, and the names of all classes where the table has them.

    Raises:
        ValueError: for empty cells, and for what is no label.
    """
    import pyarrow as pa

    array = _full_column(table, column, "leave labels out with ?label=")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    names = table.class_names(column)

    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _texts(array, column), names
    if not (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)):
        raise ValueError(
            f"column {column!r}: labels must be whole numbers, text or booleans; found {array.type}"
        )

    values: NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
    if names is None:
        return values, None
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= len(names):
        raise ValueError(
            f"column {column!r}: values in [{low}, {high}], and its classes are 0 to "
            f"{len(names) - 1}; remove those rows, or leave labels out with ?label="
        )
    return np.array(names)[values.astype(np.int64)], names


def number_values(table: Table, columns: Sequence[str]) -> NDArray[np.generic]:
    """The numbers of a table, (n, columns), in a type that holds all of them.

    Raises:
        ValueError: for empty cells.
    """
    check_memory(
        16 * table.rows * len(columns),
        f"{table.rows:,} rows of {len(columns)} columns",
        "choose fewer columns with ?columns=, or take fewer rows",
    )
    return np.stack(
        [
            _full_column(table, name, "leave it out of ?columns").to_numpy(zero_copy_only=False)
            for name in columns
        ],
        axis=1,
    )


def category_values(table: Table, columns: Sequence[str]) -> list[NDArray[Any]]:
    """The values of columns of text and booleans, None for empty cells."""
    check_memory(
        64 * table.rows * len(columns),
        f"{table.rows:,} rows of {len(columns)} columns",
        "choose fewer columns with ?columns=, or take fewer rows",
    )
    return [_texts_or_none(table.column(name)) for name in columns]


def condition_columns(table: Table, names: Sequence[str]) -> Columns:
    """Columns of numbers and text that are a condition; NaN and None for empty cells.

    Args:
        table: the rows.
        names: of the columns.

    Raises:
        ValueError: for a column that is neither numbers nor text.
    """
    import pyarrow as pa

    columns = {}
    for name in names:
        array = table.column(name)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()

        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns[name] = _texts_or_none(array)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            columns[name] = np.array(array.to_pylist(), dtype=np.float64)
        else:
            raise ValueError(
                f"column {printable(name)!r}: {kind}, neither numbers nor text; leave it out of "
                "?condition"
            )

    return Columns(columns)


def _texts_or_none(array: Any) -> NDArray[Any]:
    """Texts as an array of objects, None for empty cells."""
    return np.array([*array.to_pylist(), None], dtype=object)[:-1]


def _full_column(table: Table, name: str, remedy: str) -> Any:
    """A column without empty cells. ValueError with the remedy where there are some."""
    array = table.column(name)
    if array.null_count:
        cells = "1 cell is" if array.null_count == 1 else f"{array.null_count} cells are"
        raise ValueError(
            f"column {printable(name)!r}: {cells} empty; remove those rows, or {remedy}"
        )
    return array


def _texts(array: Any, column: str) -> NDArray[np.generic]:
    """Labels as an array of text. ValueError for text that is too long for a label."""
    import pyarrow.compute as pc

    longest = pc.max(pc.utf8_length(array)).as_py() or 0
    if longest > _LONGEST_LABEL:
        raise ValueError(
            f"column {column!r}: a text of {longest:,} characters is no label; give another ?label"
        )
    return np.array(array.to_pylist(), dtype=f"U{max(1, longest)}")
