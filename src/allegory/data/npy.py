"""Items from .npy and .npz files. Nothing is unpickled, so a file can hold numbers and text only.

Arrays are read as `arrays.py` says. An .npz holds `x` (or one array of any name) with `labels` or
`y`, and `condition` or `captions` (`condition_files.py`), and may hold `x_validation` and `x_test`
with theirs; `x_train` and `y_train` mean `x` and `y`.
Labels are whole numbers, text or booleans, and classes are those of the training set. A missing set
is held out of the training set (`splits.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..conditions.classes import ClassName, are_counted, class_index, class_names, untrained
from ..lookup import printable
from .array_files import Arrays, read_arrays
from .arrays import Declared, RawItems, narrowed, raw_items, spec_of
from .condition_files import condition_names, condition_of, encoded_kinds
from .condition_values import with_conditions
from .dataset import Dataset
from .items import Items
from .splits import SET_NAMES, complete

_ENDINGS = {"": "train", **{f"_{name}": part for name, part in SET_NAMES.items()}}
"""The set of the array x with this ending; where two are of one set, the later one is taken."""


def array_file(
    path: Path,
    *,
    levels: int | None = None,
    low: float | None = None,
    high: float | None = None,
    encoder: str | None = None,
) -> Dataset:
    """The data set in a .npy or .npz file.

    Args:
        path: the file.
        levels: how many values a number can take; None means 256 for uint8, else continuous.
        low: the lowest possible number, a law; None for no bounds.
        high: the highest possible number, likewise.
        encoder: of the text of a condition, a folder or a name at huggingface.co; None means words.

    Raises:
        ValueError: for what is no array of numbers, and labels that are no classes.
    """
    arrays = read_arrays(path)
    if (low is None) != (high is None):
        raise ValueError(
            f"{printable(path)}: ?low= and ?high= are given together, or both left out"
        )
    try:
        kinds = None if encoder is None else encoded_kinds(arrays, encoder)
        declared = Declared(levels, None if low is None else (low, high), condition_kind=kinds)

        raw = _sets(arrays, declared)
        labels = raw["train"].labels
        names = None if labels is None else class_names(labels)
        values = {part: each.condition for part, each in raw.items()}
        found, kind = with_conditions(complete(_indexed(raw, names)), values)
        spec = replace(spec_of(found, raw["train"].declared, names), condition=kind)
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {error}") from None

    train, validation, test = (narrowed(items, spec) for items in found)
    notes = (
        *raw["train"].notes,
        *_not_read(arrays),
        *untrained(train.labels, spec.class_names, spec.classes),
    )
    return Dataset(path.stem, spec, train, validation, test, notes=notes, conditions=values)


def _not_read(arrays: Arrays) -> tuple[str, ...]:
    """A sentence about the arrays of the file that `_sets` does not take, where there are any."""
    read: dict[str, set[str]] = {}
    for ending, part in _ENDINGS.items():
        if f"x{ending}" in arrays:
            labels = f"labels{ending}" if f"labels{ending}" in arrays else f"y{ending}"
            given = condition_names({*arrays}, ending, {*_ENDINGS})
            read[part] = {f"x{ending}", labels, *given.values()}

    rest = sorted({*arrays} - set().union(*read.values()))
    if not rest:
        return ()
    listed = ", ".join(printable(name) for name in rest)
    return (
        f"arrays that are not read: {listed}; items are x, x_train, x_validation and x_test, and "
        "their labels are labels or y, their condition is condition, with the same ending",
    )


def _sets(arrays: Arrays, declared: Declared) -> dict[str, RawItems]:
    """The sets of the file. The training set is x or x_train, any other x_<set>."""
    sets = {}
    for ending, part in _ENDINGS.items():
        if f"x{ending}" in arrays:
            labels = arrays.get(f"labels{ending}", arrays.get(f"y{ending}"))
            condition = condition_of(arrays, condition_names({*arrays}, ending, {*_ENDINGS}))
            sets[part] = raw_items(arrays[f"x{ending}"], labels, declared, condition)

    if "train" not in sets:
        raise ValueError(
            f"arrays {', '.join(sorted(arrays)) or 'none'}; name the one to learn from x, and its "
            "labels, if any, labels: numpy.savez(FILE, x=..., labels=...)"
        )
    return sets


def _indexed(sets: Mapping[str, RawItems], names: tuple[ClassName, ...] | None) -> dict[str, Items]:
    """The sets with labels as indices of the classes of the training set."""
    stored = None if names is None or are_counted(names) else names
    found = {}
    for part, raw in sets.items():
        labels = None
        if (raw.labels is None) != (names is None):
            raise ValueError("labels: one set has them and another has not; label all sets or none")
        if raw.labels is not None and names is not None:
            try:
                labels = class_index(raw.labels, stored, len(names))
            except ValueError as error:
                raise ValueError(f"{part}: {error} (those of the training set)") from None
        found[part] = Items(raw.x, labels)

    return found
