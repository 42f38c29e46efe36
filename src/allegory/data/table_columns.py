"""The columns of a table: which hold images, labels and numbers, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ..lookup import printable
from .encoded import Encoded
from .memory import check_memory
from .parquet_files import Table

_ROWS_AT_ONCE = 32  # of images
_LONGEST_LABEL = 200
_INDEX = "__index_level_"  # the index of a pandas data frame


@dataclass(frozen=True)
class TableOptions:
    """What is read of a table, and how.

    Args:
        image: name of the column of images; None looks for one.
        label: name of the column of labels; None looks for one, "" leaves labels out.
        columns: names of columns of numbers, with commas between them; None takes all of them where
            there are no images. A comma in a name is written %2C, & is %26.
        size: the centred square of each image is resized to size x size; None leaves it.
        alpha: "drop" leaves transparency of images out; "keep" makes four channels.
        levels: how many values a number of a table can take; None means continuous.
        low: the lowest possible number of a table, a law; None for no bounds.
        high: the highest possible number, likewise.
    """

    image: str | None = None
    label: str | None = None
    columns: str | None = None
    size: int | None = None
    alpha: str = "drop"
    levels: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chosen:
    """The columns that are read.

    Args:
        image: of images; None for a table of numbers.
        label: of labels; None without.
        numbers: of numbers; none for images.
    """

    image: str | None
    label: str | None
    numbers: tuple[str, ...] = ()


def chosen_columns(table: Table, options: TableOptions) -> Chosen:
    """The columns of a table that are read.

    Raises:
        ValueError: for a column that is absent, and tables that hold neither images nor numbers.
    """
    label = _label_column(table, options.label)
    if options.columns is not None:
        if options.image is not None:
            raise ValueError("?image and ?columns: give one of them")
        names = tuple(unquote(name) for name in options.columns.split(","))
        if options.label is None and label in names:
            label = None
        return _numbers(table, names, label)

    image = _image_column(table, options.image)
    if image is not None:
        return Chosen(image, label)
    return _numbers(table, _all_numbers(table, label), label)


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


def _label_column(table: Table, wanted: str | None) -> str | None:
    if wanted is not None:
        name = unquote(wanted)
        return _check_known(table, name, "label") if name else None
    typed = [name for name in table.columns if table.class_names(name) is not None]
    return "label" if "label" in table.columns else next(iter(typed), None)


def _image_column(table: Table, wanted: str | None) -> str | None:
    """The column of images, None where there seems to be none."""
    typed = [name for name in table.columns if table.is_image(name)]
    named = [name for name in ("image", "img") if name in table.columns]
    if wanted is None and not (typed or named):
        return None

    name = (typed or named)[0] if wanted is None else unquote(wanted)
    kind = table.schema.field(_check_known(table, name, "image")).type
    if not _holds_images(kind):
        raise ValueError(
            f"column {name!r}: holds no encoded images ({kind}); for a table of numbers give "
            "?columns=NAME,NAME"
        )
    return name


def _holds_images(kind: Any) -> bool:
    """Whether cells are bytes, paths, or both in the layout of the hub."""
    import pyarrow as pa

    of_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_null)
    of_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    if not pa.types.is_struct(kind):
        return any(test(kind) for test in (*of_bytes, *of_text))

    fields = {field.name: field.type for field in kind}
    tests = {
        name: each for name, each in (("bytes", of_bytes), ("path", of_text)) if name in fields
    }
    return bool(tests) and all(any(test(fields[n]) for test in tests[n]) for n in tests)


def _all_numbers(table: Table, label: str | None) -> tuple[str, ...]:
    """All columns but that of the labels. ValueError where one of them holds no numbers."""
    names = [n for n in table.columns if n != label and not n.startswith(_INDEX)]
    good = [name for name in names if _is_number(table, name)]
    if good and len(good) == len(names):
        return tuple(good)

    others = [printable(name) for name in names if name not in good]
    if not others:
        raise ValueError("no column holds images or numbers; name one, as in ?image=NAME")

    example = printable(f"?columns={','.join(good[:3])}") if good else "?image=NAME"
    label_too = f"name the label, as in ?label={others[0]}, or " if good and not label else ""
    raise ValueError(
        f"column{'s' if len(others) > 1 else ''} {', '.join(others)}: neither images nor numbers; "
        f"{label_too}choose those to learn from, as in {example}"
    )


def _numbers(table: Table, names: tuple[str, ...], label: str | None) -> Chosen:
    if len({*names}) < len(names) or label in names:
        raise ValueError("?columns: names a column twice, or that of the labels; leave it out")
    for name in names:
        if not _is_number(table, _check_known(table, name, "columns")):
            raise ValueError(
                f"column {printable(name)!r}: {table.schema.field(name).type}, no numbers; "
                "leave it out of ?columns"
            )
    return Chosen(None, label, names)


def _is_number(table: Table, name: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in tests)


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


def _check_known(table: Table, name: str, option: str) -> str:
    if name not in table.columns:
        known = ", ".join(printable(each) for each in table.columns[:20])
        raise ValueError(f"?{option}={printable(name)}: no such column; there are {known}")
    return name
