"""Text from files: one, a folder of .txt files, or a column of a table (`?text=COLUMN`)."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from ..files import check_readable
from ..lookup import printable
from .dataset import Dataset
from .folders import files_below, skipped
from .memory import check_memory
from .parquet_files import Table
from .places import MissingData
from .table_files import TABLES, table_of
from .text import TextOptions, text_dataset

_COPIES = 16  # bytes in memory for each byte of a file: the text and its tokens


def text_file(path: str | Path, *, options: TextOptions) -> Dataset:
    """The text of a file, whatever its name, or of the .txt files of a folder in order of name; of
    a table (.csv, .jsonl, .parquet) that of a column.

    Args:
        path: the file or folder.
        options: the tokens, and what an item is.

    Raises:
        ValueError: for a file that is no text, or holds none.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise MissingData(f"text {printable(path)}: no such file or folder; check the path")

    if options.text is not None:
        return _table_text(place, options)

    files, notes = [place], list[str]()
    if place.is_dir():
        found = files_below(place)
        files = [file for file in found.files if is_text(file)]
        others = [file.suffix or "no suffix" for file in found.files if not is_text(file)]
        notes = [*skipped(others, "file is no .txt", "files are no .txt"), *found.notes()]
    if not files:
        raise ValueError(f"{printable(path)}: no .txt file in it; give a folder that has some")

    texts = read_texts(files, options.unit == "bytes")
    return text_dataset(texts, options, place.resolve().stem, notes)


def _table_text(path: Path, options: TextOptions) -> Dataset:
    """A data set of the text in a column of a table."""
    assert options.text is not None
    if path.suffix.lower() not in TABLES or path.is_dir():
        raise ValueError(
            f"{printable(path)}: ?text=COLUMN is for tables, {', '.join(TABLES)}; leave it out"
        )

    table = table_of(path)
    try:
        texts, notes = _column(table, unquote(options.text))
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {error}") from None

    return text_dataset(texts, options, path.resolve().stem, notes)


def _column(table: Table, name: str) -> tuple[list[str], list[str]]:
    """The texts of a column, and a note on empty cells. ValueError for one without text."""
    if name not in table.columns:
        known = ", ".join(printable(each) for each in table.columns[:20])
        raise ValueError(f"?text={printable(name)}: no such column; there are {known}")

    cells = table.column(name).to_pylist()
    texts = [cell for cell in cells if cell is not None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"?text={printable(name)}: a column without text; choose another")

    empty = len(cells) - len(texts)
    are = "cell is" if empty == 1 else "cells are"
    return texts, [f"{empty:,} {are} empty and left out"] if empty else []


def is_text(file: Path) -> bool:
    """Whether a file is text by its name."""
    return file.suffix.lower() == ".txt"


def read_texts(files: Sequence[Path], any_bytes: bool) -> list[str]:
    """The texts of files in UTF-8.

    Args:
        files: the files.
        any_bytes: whether bytes that are no UTF-8 are taken, as code points U+DC80 to U+DCFF, and
            a byte order mark.

    Raises:
        ValueError: for other bytes, with their place, and for files that do not fit into memory.
    """
    size = sum(check_readable(file) for file in files)
    check_memory(_COPIES * size, f"{size:,} bytes of text", "give a part of it")

    texts = []

    for file in files:
        try:
            content = file.read_bytes()
            if any_bytes:
                texts.append(content.decode(errors="surrogateescape"))
            else:
                texts.append(content.removeprefix(codecs.BOM_UTF8).decode())
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{printable(file)}: byte {error.start:,} (0x{error.object[error.start]:02x}) is "
                "no UTF-8; convert the file, or take its bytes with ?unit=bytes"
            ) from None

    return texts
