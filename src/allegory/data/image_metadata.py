"""What metadata.jsonl or metadata.csv says of the images in a folder, as on the hub.

A line has `file_name`, the path of an image below the folder of the file, and other columns, which
may be conditions: numbers, text, or (in .jsonl) lists of names. A number or a text may be missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import open_regular
from ..lookup import pick, printable
from ..plain_json import parse_json
from .condition_kinds import Columns

METADATA = ("metadata.jsonl", "metadata.csv")
_NAME = "file_name"
_MOST_BYTES = 2**28

_Line = Mapping[str, Any]


def image_columns(root: Path, files: Sequence[Path], names: Sequence[str]) -> Columns:
    """Columns of the images of a set.

    Args:
        root: the folder of the set, which holds the file of metadata.
        files: the images, in order.
        names: of the columns.

    Returns:
        The columns, one entry per image.

    Raises:
        ValueError: without a file of metadata, for one that cannot be read, an image that it does
            not name, and a column that it does not have.
    """
    found = [root / name for name in METADATA if (root / name).is_file()]
    if not found:
        raise ValueError(
            f"?condition: no {' or '.join(METADATA)} in {printable(root)}; put one there with a "
            f"column {_NAME}"
        )
    source = found[0]

    rows = {str(row[_NAME]): row for row in _rows(source)}
    chosen: list[_Line] = []
    for file in files:
        name = file.relative_to(root).as_posix()
        if name not in rows:
            raise ValueError(f"{printable(source)}: no line of {name}; add one for every image")
        chosen.append(rows[name])

    known = {name: None for row in chosen for name in row if name != _NAME}
    for name in names:
        pick("column of ?condition", name, known)

    return Columns({name: _column(name, [row.get(name) for row in chosen]) for name in names})


def _rows(path: Path) -> list[_Line]:
    """The lines of the file, each with the name of an image."""
    with open_regular(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{printable(path)}: more than {_MOST_BYTES:,} bytes; give fewer columns")

    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    if path.suffix == ".csv":
        try:
            rows: list[Any] = [*csv.DictReader(io.StringIO(text))]
        except csv.Error as error:
            raise ValueError(f"{printable(path)}: no table ({error}); write it again") from None
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        rows = [parse_json(line.encode(), f"{path.name}, a line") for line in lines]

    if not all(isinstance(row, dict) and isinstance(row.get(_NAME), str) for row in rows):
        raise ValueError(f"{printable(path)}: a line without {_NAME}; name the image in each")
    return rows


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    """Numbers with NaN, or text or lists of names with None, as an array."""
    known = [value for value in values if value not in (None, "")]
    if all(isinstance(value, list) for value in known) and known:
        lists = np.empty(len(values), dtype=object)
        lists[:] = [None if value in (None, "") else value for value in values]
        return lists

    if all(_is_number(value) for value in known):
        return np.array([np.nan if value in (None, "") else float(value) for value in values])
    if all(isinstance(value, str) for value in known):
        return np.array([value or None for value in values], dtype=object)

    raise ValueError(f"column {printable(name)!r}: neither numbers, text nor lists of names")


def _is_number(value: Any) -> bool:
    """Whether a value is a number, or the text of one as a .csv has it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except (ValueError, OverflowError):
        return False
