"""Tables of any container, a column at a time: numpy arrays, lists, and data frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...conditions.classes import check_unmasked
from ...lookup import printable
from .cells import Cells, NoColumn, cells_of_array

CONTAINERS = ("numpy", "records", "pandas", "polars", "pyarrow")
"""What a table can be in; "records" are numpy arrays with named fields."""


@dataclass(frozen=True, eq=False)
class OpenTable:
    """A table whose columns are read when they are needed.

    Args:
        container: one of `CONTAINERS`.
        labels: the names of its columns as the container has them.
        length: the number of rows.
        read: the cells of the column at a place.
    """

    container: str
    labels: tuple[Any, ...]
    length: int
    read: Callable[[int], Cells]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its columns as text."""
        return tuple(map(str, self.labels))

    def cells(self, name: str) -> Cells:
        """The cells of a column. ValueError, with its name, where there can be none."""
        try:
            return self.read(self.names.index(name))
        except NoColumn as error:
            raise ValueError(f"column '{printable(name)}': {error}") from None


def open_table(frame: Any) -> OpenTable:
    """The table in a container.

    Args:
        frame: a numpy array (n, columns), one with named fields, lists of rows, or a data frame of
            pandas, polars or pyarrow.

    Raises:
        ValueError: for another object, and names that are there twice.
    """
    if any(hasattr(type(frame), each) for each in ("columns", "column_names")):
        table = _data_frame(frame)
    elif isinstance(frame, np.ndarray) and frame.dtype.names is not None:
        labels = frame.dtype.names
        table = OpenTable(
            "records", labels, len(frame), lambda place: cells_of_array(_field(frame, place))
        )
    else:
        array = _two_axes(frame)
        labels = tuple(f"x{place}" for place in range(array.shape[1]))
        table = OpenTable(
            "numpy", labels, len(array), lambda place: cells_of_array(array[:, place])
        )

    _check_labels(table.labels)
    return table


def _data_frame(frame: Any) -> OpenTable:
    try:
        from .data_frames import open_data_frame
    except ModuleNotFoundError as error:
        raise ValueError(
            f"frame: a data frame needs {error.name}; pip install 'allegory[tables]', or give a "
            "numpy array with named fields"
        ) from None

    return open_data_frame(frame)


def _field(array: NDArray[Any], place: int) -> NDArray[Any]:
    """A field of records. NoColumn where it has several numbers in a row."""
    assert array.dtype.names is not None
    field = array[array.dtype.names[place]]
    if field.ndim != 1:
        raise NoColumn(f"{field.shape[1:]} numbers in a row; make a column of each")
    return field


def _two_axes(frame: Any) -> NDArray[Any]:
    """Rows as an array. ValueError for what has not two axes."""
    if hasattr(frame, "detach"):
        frame = frame.detach().cpu().numpy()
    check_unmasked("frame", frame)

    try:
        array = np.asarray(frame)
        if array.dtype.kind == "U" and not isinstance(frame, np.ndarray):
            array = np.array(frame, dtype=object)  # numbers beside text
    except ValueError:
        raise ValueError("frame: rows of different lengths; give each all columns") from None

    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"frame: {type(frame).__name__} of shape {array.shape}; give a data frame, or an array "
            "of rows and columns"
        )
    return array


def _check_labels(labels: tuple[Any, ...]) -> None:
    """Refuse names of columns that are neither text nor whole numbers, or there twice."""
    if not labels:
        raise ValueError("frame: a table without columns; give one at least")
    odd = [each for each in labels if not isinstance(each, str | int | np.integer)]
    if odd:
        raise ValueError(
            f"frame: column {odd[0]!r:.60}; name columns by text or whole numbers, e.g. by "
            "frame.columns = [...]"
        )

    seen: set[str] = set()
    for label in labels:
        if str(label) in seen:
            raise ValueError(
                f"frame: two columns named '{printable(label)}'; give each a name of its own"
            )
        seen.add(str(label))
