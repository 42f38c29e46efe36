"""Tables with named columns, as arrays: data frames (pandas, polars, ...) and structured arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .condition_kinds import Columns
from .vocabularies import are_categories


def column_names(columns: Any) -> tuple[str, ...] | None:
    """A list of names as a tuple. ValueError for what is no list."""
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise ValueError(f"columns={columns}: give a list of names")
    return tuple(columns)


def columns_of(
    x: Any, labels: Any = None, condition: Any = None
) -> tuple[tuple[str, ...] | None, Any, Any, Any]:
    """The names of the columns, the numbers, the labels and the condition of a table; arrays are
    left alone.

    Args:
        x: a data frame (anything with `columns` and `to_numpy`), a numpy array with named fields,
            or an array without names.
        labels: one per item, or the name of the column that holds them; None for no labels.
        condition: one per item, or names of columns, which are then none of x; None for none.

    Returns:
        The names, or None; an array (n, columns), or columns of categories; the labels; the
        condition.

    Raises:
        ValueError: for a column that holds no numbers, or that is not there.
    """
    table = _columns(x)
    if table is None:
        return None, x, labels, condition

    if isinstance(labels, str):
        if labels not in table:
            raise ValueError(f"labels={labels!r}: no such column; there are {', '.join(table)}")
        labels = table.pop(labels)
    condition = _taken(table, condition)
    if not table:
        raise ValueError("x: a table without columns of numbers; give at least one")

    if _is_categorical(table):
        return tuple(table), CategoryColumns((*table.values(),)), labels, condition
    odd = [name for name, column in table.items() if column.dtype.kind not in "biuf"]
    if odd:
        raise ValueError(
            f"column {odd[0]!r}: {table[odd[0]].dtype}, no numbers; leave it out, give its name as "
            "labels, or make text of all columns, which are then categories"
        )
    return tuple(table), np.stack([*table.values()], axis=1), labels, condition


@dataclass(frozen=True, eq=False)
class CategoryColumns:
    """The columns of a table that are all categories.

    Args:
        columns: their values.
    """

    columns: tuple[NDArray[Any], ...]


def _is_categorical(table: Mapping[str, NDArray[np.generic]]) -> bool:
    """Whether all columns are text or booleans, one of them text at least."""
    is_text = any(column.dtype.kind != "b" for column in table.values())
    return is_text and all(map(are_categories, table.values()))


def _taken(table: dict[str, NDArray[np.generic]], condition: Any) -> Any:
    """The condition; columns that it names are taken out of the table."""
    names = [condition] if isinstance(condition, str) else condition
    is_names = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not is_names or not names:
        return condition

    rows = len(next(iter(table.values())))
    for name in names:
        if name not in table:
            if len(names) == rows > 1:
                return condition  # a caption of each item
            raise ValueError(f"condition={name!r}: no such column; there are {', '.join(table)}")
    return Columns({name: table.pop(name) for name in dict.fromkeys(names)})


def _columns(x: Any) -> dict[str, NDArray[np.generic]] | None:
    """The columns of a table by name; None for an array without names."""
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        names = [*x.columns]
        columns: Mapping[Any, Any] = {name: x[name].to_numpy() for name in names}
    elif isinstance(x, np.ndarray) and x.dtype.names is not None:
        names = [*x.dtype.names]
        columns = {name: x[name] for name in names}
    else:
        return None

    if len({*map(str, names)}) < len(names):
        raise ValueError("x: a table with two columns of one name; give each column its own")
    for name, column in columns.items():
        if column.ndim != 1:
            raise ValueError(
                f"column {str(name)!r}: {column.shape[1:]} numbers an item; make a column of each"
            )
    return {str(name): np.asarray(column) for name, column in columns.items()}
