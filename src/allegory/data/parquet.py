"""Tables: parquet files, in the layout of the Hugging Face hub or any other, and the hub itself.

A row holds an encoded image (the column whose feature is an image, else the one named `image` or
`img`) and perhaps a label (the column `label`, else the first whose feature is a class). A table
without images whose columns are all numbers, the label aside, is one of numbers: an item holds
those of a row. Columns that are all text and booleans are categories. The options `image`, `label`
and `columns` choose other columns, and `condition` those that a model is conditioned on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from ..conditions.classes import ClassName, class_index, class_names, untrained
from ..lookup import printable
from .arrays import Declared, narrowed, raw_items, spec_of
from .condition_values import ConditionValues, condition_values, with_conditions
from .dataset import Dataset
from .folders import files_below, skipped
from .images import image_dataset, sets_of, transparency_note
from .items import Items
from .parquet_files import Table, file_table, hub_table
from .pixels import decode_images
from .splits import SET_NAMES, complete
from .table_columns import Chosen, TableOptions, chosen_columns
from .table_values import (
    ImageCells,
    Joined,
    category_values,
    condition_columns,
    label_values,
    number_values,
)
from .vocabularies import Categories

_Classes = tuple[dict[str, Int64[Tensor, " n"] | None], tuple[ClassName, ...] | None]
"""The labels of each set as indices, and the values of the classes."""
_Conditions = dict[str, ConditionValues | None]
_Labelled = tuple[dict[str, Int64[Tensor, " n"] | None], tuple[ClassName, ...] | None, _Conditions]
"""The same, with the values of the conditions of each set."""


def parquet(path: Path, *, options: TableOptions) -> Dataset:
    """The items of a parquet file, or of a folder with train*.parquet and perhaps other sets.

    Args:
        path: the file or folder.
        options: what is read of it.

    Raises:
        ValueError: for files that cannot be read, or that hold neither images nor numbers.
    """
    if not path.is_dir():
        return from_tables(path.stem, printable(path), {"train": file_table([path])}, options, ())

    found = files_below(path)
    files: dict[str, list[Path]] = {}
    for file in found.files:
        if file.suffix == ".parquet":
            files.setdefault(_set_of(file.stem), []).append(file)

    others = [file.suffix for file in found.files if file.suffix != ".parquet"]
    strays = [file.name for file in files.pop("", [])]
    notes = [
        *skipped(others, "file is no parquet table", "files are no parquet tables"),
        *skipped(strays, "table is of no set", "tables are of no set"),
        *found.notes(),
    ]
    tables = {part: file_table(parts) for part, parts in files.items()}
    return from_tables(path.resolve().name, printable(path), tables, options, notes)


def hub(name: str, *, options: TableOptions) -> Dataset:
    """A data set of the Hugging Face hub, downloaded on first use and cached by `datasets`.

    Args:
        name: owner/name.
        options: what is read of it.

    Raises:
        ValueError: for a data set that cannot be loaded.
    """
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        splits = datasets.load_dataset(name)
    except (OSError, ValueError) as error:
        # No network, no such data set, a full disk, a choice of several.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"hub:{printable(name)}: not loaded ({printable(reason)}); check the name and the "
            "network, or give a local folder"
        ) from None

    folders = [Path(HF_HUB_CACHE), Path(datasets.config.HF_CACHE_HOME)]
    known = {
        SET_NAMES[split]: hub_table(splits[split], folders)
        for split in splits
        if split in SET_NAMES
    }
    notes = skipped(
        [split for split in splits if split not in SET_NAMES],
        "split is no set",
        "splits are no sets",
    )
    return from_tables(name.split("/")[-1], f"hub:{printable(name)}", known, options, notes)


def from_tables(
    name: str,
    source: str,
    tables: Mapping[str, Table],
    options: TableOptions,
    notes: Sequence[str],
) -> Dataset:
    """A data set from tables.

    Args:
        name: of the data set.
        source: what error messages call it.
        tables: one per set, by its name.
        options: what is read of them.
        notes: what was skipped.
    """
    if "train" not in tables:
        raise ValueError(
            f"{source}: found {', '.join(tables) or 'no set'}: a training set is needed; "
            "name its file train.parquet"
        )

    try:
        if not all(table.rows for table in tables.values()):
            raise ValueError("x: no items; give at least one in every set")
        chosen = chosen_columns(tables["train"], options)
        for part, table in tables.items():
            _check_set(part, table, tables["train"], chosen)
        labels, names = _labels(tables, chosen.label)
        values = _conditions(tables, chosen.condition)

        if chosen.image is not None:
            cells = {part: ImageCells(table, chosen.image, part) for part, table in tables.items()}
            return _images(name, cells, options, (labels, names, values), notes)
        if options.size is not None or options.alpha != "drop":
            raise ValueError("?size and ?alpha are for images, and this is a table of numbers")
        declared = Declared(options.levels, _bounds(options), chosen.numbers)
        if chosen.are_categories:
            numbers, declared = _category_tokens(tables, declared)
        else:
            numbers = {part: number_values(table, chosen.numbers) for part, table in tables.items()}
        return _numbers(name, numbers, declared, (labels, names, values), notes)
    except ValueError as error:
        if str(error).startswith(source):
            raise
        raise ValueError(f"{source}: {error}") from None


def _images(
    name: str,
    cells: Mapping[str, ImageCells],
    options: TableOptions,
    labelled: _Labelled,
    notes: Sequence[str],
) -> Dataset:
    """A data set of the images in a column."""
    for option in ("levels", "low", "high"):
        if getattr(options, option) is not None:
            raise ValueError(f"?{option} is for tables of numbers, and this holds images")

    decoded = decode_images(Joined(tuple(cells.values())), options.size, options.alpha)
    counts = {part: len(each) for part, each in cells.items()}
    sets = sets_of(decoded.x, counts, labelled[0])
    lost = transparency_note(decoded.transparent, options.alpha)
    return image_dataset(name, sets, labelled[1], (*notes, *lost), labelled[2])


def _numbers(
    name: str,
    numbers: Mapping[str, NDArray[np.generic]],
    declared: Declared,
    labelled: _Labelled,
    notes: Sequence[str],
) -> Dataset:
    """A data set of the numbers in the rows."""
    raw = {part: raw_items(x, None, declared) for part, x in numbers.items()}
    own = complete({part: Items(each.x, labelled[0][part]) for part, each in raw.items()})
    sets, kind = with_conditions(own, labelled[2])

    train = raw["train"]
    spec = replace(spec_of(sets, train.declared, labelled[1]), condition=kind)
    first, second, third = (narrowed(items, spec) for items in sets)
    lost = untrained(first.labels, spec.class_names, spec.classes)
    if spec.vocabulary is not None:
        lost = (*lost, *spec.vocabulary.untrained(first.x, spec.columns))
    said = (*notes, *train.notes, *lost)
    return Dataset(name, spec, first, second, third, notes=said, conditions=labelled[2])


def _category_tokens(
    tables: Mapping[str, Table], declared: Declared
) -> tuple[dict[str, NDArray[np.generic]], Declared]:
    """The tokens of columns of categories, and what is declared with their vocabulary."""
    names = declared.columns
    assert names is not None

    if declared.levels is not None or declared.bounds is not None:
        raise ValueError(
            "?levels, ?low and ?high are for numbers, and these columns are categories"
        )

    values = {part: category_values(table, names) for part, table in tables.items()}
    every = [np.concatenate(columns) for columns in zip(*values.values(), strict=True)]
    vocabulary = Categories.of(every, names)
    tokens = {part: vocabulary.encode(each, names).numpy() for part, each in values.items()}
    return dict(tokens), replace(declared, vocabulary=vocabulary)


def _conditions(tables: Mapping[str, Table], columns: Sequence[str]) -> _Conditions:
    """The values of the conditions of each set."""
    if not columns:
        return dict.fromkeys(tables)
    return {
        part: condition_values(condition_columns(table, columns), table.rows)
        for part, table in tables.items()
    }


def _labels(tables: Mapping[str, Table], column: str | None) -> _Classes:
    """The labels of each set as indices, and the values of the classes."""
    if column is None:
        return dict.fromkeys(tables), None

    found = {part: label_values(table, column) for part, table in tables.items()}
    values, known = found["train"]
    names = class_names(values) if known is None else tuple(known)
    indices: dict[str, Int64[Tensor, " n"] | None] = {}
    for part, (each, _) in found.items():
        try:
            indices[part] = class_index(each, names, len(names))
        except ValueError as error:
            raise ValueError(f"{part}, column {printable(column)!r}: {error}") from None
    return indices, names


def _bounds(options: TableOptions) -> tuple[float, float] | None:
    if options.low is None and options.high is None:
        return None
    if options.low is None or options.high is None:
        raise ValueError("?low= and ?high= are given together, or both left out")
    return options.low, options.high


def _check_set(part: str, table: Table, train: Table, chosen: Chosen) -> None:
    """Refuse a set without the columns of the training set."""
    for name in (chosen.image, chosen.label, *chosen.numbers, *chosen.condition):
        if name is None:
            continue
        mine = table.schema.field(name).type if name in table.columns else "no such column"
        theirs = train.schema.field(name).type
        if mine != theirs:
            raise ValueError(
                f"{part}, column {printable(name)!r}: {mine}, and the training set has {theirs}; "
                "write all sets alike"
            )


def _set_of(stem: str) -> str:
    """The set of a file of this name, "" for none."""
    return next((part for prefix, part in SET_NAMES.items() if stem.startswith(prefix)), "")
