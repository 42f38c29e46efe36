"""Data sets of tables with mixed columns and missing values.

An item is a row of a `TableSchema`: numbers, then codes. Numbers are scaled by those of the
training items that are there, whole numbers and dates by k + 1/2, the mean of what a model makes
of k when it dequantizes it. Codes are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ..lookup import printable
from . import memory
from .columns import scaling
from .dataset import Dataset
from .items import Items
from .spec import DataSpec
from .splits import complete, split_by_fractions
from .table_files import frame_of
from .table_schema import TableSchema, table_schema
from .table_schema.column import Column, shown
from .table_schema.containers import open_table

_CHUNK = 10_000
"""Rows that are moved at once."""
_COPIES = 2  # the rows, and those of the sets


def table_dataset(
    frame: Any,
    *,
    kinds: Mapping[str, str] | None = None,
    given: Sequence[str] = (),
    name: str = "table",
    split: tuple[float, float, float] = (0.9, 0.05, 0.05),
) -> Dataset:
    """A data set of the rows of a table with mixed columns and missing values.

    Args:
        frame: a data frame of pandas, polars or pyarrow, a numpy array (n, columns), one with named
            fields, or lists of rows.
        kinds: the kinds of some columns by name, such as {"zip": "category"}; others are taken from
            their values (`table_schema`).
        given: names of columns that are always known, the y of p(x | y).
        name: for reports.
        split: fractions of training, validation and test items, which sum to 1.

    Returns:
        The data set; `spec.table` has its columns, and gives rows back as a table.

    Raises:
        ValueError: for columns of no kind, unknown names, and a table that does not fit into
            memory.
    """
    schema = table_schema(frame, kinds, given)
    return dataset_of_table(frame, schema, name=name, split=split)


def dataset_of_table(
    frame: Any,
    schema: TableSchema,
    *,
    name: str = "table",
    split: tuple[float, float, float] = (0.9, 0.05, 0.05),
    seed: int = 0,
) -> Dataset:
    """A data set of the rows of a table whose columns are known.

    Args:
        frame: the table.
        schema: what its columns are.
        name: for reports.
        split: fractions of training, validation and test items, which sum to 1.
        seed: of the permutation that assigns the items to the sets.

    Raises:
        ValueError: for other columns or values than those of the schema, and a table that does not
            fit into memory.
    """
    items = _items(frame, schema)
    return _dataset(name, schema, split_by_fractions(items.numbered(), split, seed))


def dataset_with_held_out(
    frame: Any, schema: TableSchema, held_out: int, *, name: str = "table", seed: int = 0
) -> Dataset:
    """A data set of the rows of a table in two sets, which needs the memory of one copy.

    Args:
        frame: the table.
        schema: what its columns are.
        held_out: rows for validation, which are the test rows as well; 0 takes those for training.
        name: for reports.
        seed: of the choice of these rows.

    Raises:
        ValueError: as `dataset_of_table`.
    """
    rows = _items(frame, schema).x
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(rows)))

    validation = rows[order[:held_out]] if held_out else rows
    others = order[held_out:].sort().values
    for places, origin in zip(
        torch.arange(len(others)).split(_CHUNK), others.split(_CHUNK), strict=True
    ):
        rows[places] = rows[origin]  # each comes from its own place or a later one

    items = Items(validation)
    return _dataset(name, schema, (Items(rows[: len(others)]), items, items))


def table_file(path: str, *, kinds: str | None = None, given: str | None = None) -> Dataset:
    """The rows of a .csv, .parquet or .jsonl table with mixed columns and missing values.

    Args:
        path: the file.
        kinds: the kinds of some columns, NAME:KIND with commas between them. A comma in a name is
            written %2C, & is %26.
        given: names of columns that are always known, with commas between them.

    Raises:
        ValueError: for a file that is no such table, and as `table_dataset`.
    """
    frame = frame_of(path)
    try:
        known = () if given is None else tuple(map(unquote, given.split(",")))
        schema = table_schema(frame, _kinds(kinds), known)
        sets = complete({"train": _items(frame, schema)})
        return _dataset(Path(path).stem, schema, sets)
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {error}") from None


def table_spec(schema: TableSchema, train: Tensor, others: Sequence[Tensor] = ()) -> DataSpec:
    """The DataSpec of rows of a table, scaled by the training items.

    Args:
        schema: the columns.
        train: rows (n, dims).
        others: further rows, by which a column is scaled that does not vary in train.

    Raises:
        ValueError: for numbers that are too large, or vary too little.
    """
    low, high = [-1.0] * schema.dims, [1.0] * schema.dims

    for name in schema.numbers:
        column, places = schema.column(name), schema.places(name)
        numbers = _present(train, places)
        if len(numbers) == 0 or bool((numbers == numbers[0]).all()):
            numbers = torch.cat([_present(rows, places) for rows in (train, *others)])
        low[places[0]], high[places[0]] = _ends(column, numbers)

    return DataSpec((schema.dims,), tuple(low), tuple(high), columns=schema.entries, table=schema)


def _present(rows: Tensor, places: tuple[int, ...]) -> Float64[Tensor, " n"]:
    """The numbers of a column that are not missing."""
    numbers = rows[:, places[0]]
    return numbers if len(places) == 1 else numbers[rows[:, places[1]] == 0]


def _ends(column: Column, numbers: Float64[Tensor, " n"]) -> tuple[float, float]:
    """The mean of numbers -+ 2 standard deviations."""
    low, high = scaling(numbers[:, None], (column.name,))
    assert isinstance(low, tuple) and isinstance(high, tuple), "a table has an end per column"
    shift = 0.5 if column.is_whole else 0.0
    return low[0] + shift, high[0] + shift


def _items(frame: Any, schema: TableSchema) -> Items:
    """All rows. ValueError for more than fit into memory."""
    count = open_table(frame).length
    size = 8 * _COPIES * schema.dims
    free = memory.free_memory()
    fits = "fewer" if free is None else f"at most {free // 2 // size:,}"
    memory.check_memory(
        size * count, f"{count:,} rows of {schema.dims} entries", f"take {fits} of them"
    )

    return Items(torch.from_numpy(schema.rows(frame)))


def _dataset(name: str, schema: TableSchema, sets: tuple[Items, Items, Items]) -> Dataset:
    """The data set of three sets of rows."""
    train, validation, test = sets
    spec = table_spec(schema, train.x, (validation.x, test.x))
    notes = (*schema.notes, *_untrained(schema, train.x))
    return Dataset(name, spec, train, validation, test, notes=notes)


def _untrained(schema: TableSchema, train: Tensor) -> list[str]:
    """A sentence on each column with values that no training item has."""
    notes = []

    for column in schema.columns:
        if not column.is_token or column.values is None:
            continue
        (place,) = schema.places(column.name)
        seen = {*np.unique(train[:, place].numpy()).astype(int).tolist()}
        absent = [column.text(value) for k, value in enumerate(column.values) if k not in seen]
        if absent:
            notes.append(
                f"{column.place}: no training item has {shown(absent)}: likelihoods of items with "
                "it mean nothing"
            )

    return notes


def _kinds(text: str | None) -> dict[str, str] | None:
    """Kinds by the names of columns, from NAME:KIND with commas between them."""
    if text is None:
        return None
    kinds = {}

    for part in text.split(","):
        name, colon, kind = part.rpartition(":")
        if not colon or not name:
            raise ValueError(f"?kinds={printable(text)}: write NAME:KIND, as in zip:category")
        kinds[unquote(name)] = kind

    return kinds
