"""From arrays of numbers to raw items and their DataSpec.

- Levels (n, h, w) are images (1, h, w); (n, c, h, w) or (n, h, w, c) are images (c, h, w). The
  channel axis is the one of length 1, 3 or 4; where both are, the array is taken as (n, c, h, w).
- Series are (n, time, channels), of floats; videos are (n, time, c, h, w), of levels or floats.
- All others are items as they are; a table with names gives the names of its columns.

uint8 has 256 levels (0..255) unless told otherwise, and bool has 2. Floats are continuous, and so
are other whole numbers, unless levels are declared. Continuous numbers are scaled by their training
items (`columns.py`); a range is declared where it is a law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Integer, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..conditions.classes import ClassName, are_counted, check_unmasked, label_array
from ..lookup import is_whole
from .columns import Ends, check_digits, check_finite, scaling, smallest_dtype
from .condition_values import ConditionValues, condition_values
from .items import Items
from .spec import DataSpec
from .tables import CategoryColumns, columns_of
from .vocabularies import Categories, Vocabulary

_CHANNELS = (1, 3, 4)
_MOST_LEVELS = 65_536
_LEVELS_OF_BYTES = 256
_FEW_LEVELS = 64
"""A largest number below it, of uint8, makes a note."""


@dataclass(frozen=True)
class Declared:
    """What is declared about arrays, because they do not say it.

    Args:
        levels: how many values a number can take; None takes that from the type.
        bounds: the lowest and the highest possible number, each one for all numbers of an item or
            one for each; None for no bounds.
        columns: names of the numbers of an item of one axis; None for no names.
        condition_kind: the kind of their condition, or its class; of several, a mapping from their
            names. None takes it from the values.
        vocabulary: what whole numbers stand for; None for the numbers themselves.

    Raises:
        ValueError: for levels that are no whole number, or bounds that are not two.
    """

    levels: int | None = None
    bounds: tuple[Any, Any] | None = None
    columns: tuple[str, ...] | None = None
    condition_kind: Any = None
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        if self.levels is not None and not is_whole(self.levels):
            raise ValueError(
                f"levels={self.levels}: give a whole number, or None for continuous data"
            )
        if self.bounds is not None and (
            not isinstance(self.bounds, list | tuple) or len(self.bounds) != 2
        ):
            raise ValueError(f"bounds={self.bounds}: give two, the lowest and the highest number")


@dataclass(frozen=True, eq=False)
class RawItems:
    """Items of an array, with labels as the data have them.

    Args:
        x: raw items: levels as uint8, int16 or int32, others as float32 or float64.
        labels: values of their classes, (n,), or None.
        declared: what was declared, with levels and columns of the array itself.
        notes: how the numbers were taken, a sentence each.
        condition: values of their condition, or None.
    """

    x: Shaped[Tensor, "n *shape"]
    labels: NDArray[np.generic] | None
    declared: Declared
    notes: tuple[str, ...] = ()
    condition: ConditionValues | None = None


def raw_items(x: Any, labels: Any, declared: Declared, condition: Any = None) -> RawItems:
    """Items of an array or table.

    Args:
        x: numpy array, torch tensor, table with named columns, or lists, (n, *shape).
        labels: of their classes, (n,), or the name of the column of a table; None for no labels.
        declared: what is declared about them.
        condition: of each, or names of columns of a table; None for no condition.

    Raises:
        ValueError: for fewer than two axes, numbers of another type, labels that are none, and a
            condition that is of no kind.
    """
    columns, x, labels, condition = columns_of(x, labels, condition)
    if isinstance(x, CategoryColumns):
        vocabulary = Categories.of(x.columns, columns)
        x = vocabulary.encode(x.columns, columns)
        declared = replace(declared, vocabulary=vocabulary)
    array = as_numpy("x", x)
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise ValueError(
            f"x: shape {array.shape}; give items along the first axis "
            "and their numbers along the others"
        )

    by_type = {"u1": _LEVELS_OF_BYTES, "b1": 2}.get(array.dtype.str[1:])
    levels = by_type if declared.levels is None else declared.levels
    if declared.vocabulary is not None:
        levels = _levels_of(declared, array)
    notes: tuple[str, ...] = ()
    if array.dtype.kind in "iu" and levels is None:
        check_digits(array, declared.columns or columns)
        notes = (
            f"whole numbers ({array.dtype}) are read as continuous; where they are levels from 0, "
            "declare how many with levels (?levels=N in a source)",
        )
    elif declared.levels is None and declared.vocabulary is None and by_type == _LEVELS_OF_BYTES:
        most = int(array.max(initial=0))
        if most < _FEW_LEVELS:
            notes = (
                f"uint8 is read as 256 levels, and the largest number is {most}; if there are no "
                f"others, declare {most + 1} levels (levels={most + 1}, or ?levels={most + 1} in a "
                "source)",
            )

    found = None if labels is None else _labels(labels, len(array))
    values = None
    if condition is not None:
        kind, shape = declared.condition_kind, tuple(array.shape[1:])
        values = condition_values(condition, len(array), kind, shape)
    complete = replace(declared, levels=levels, columns=declared.columns or columns)
    return RawItems(_tensor(array, levels), found, complete, notes, values)


def spec_of(
    sets: Sequence[Items], declared: Declared, names: tuple[ClassName, ...] | None = None
) -> DataSpec:
    """The one DataSpec that all sets share, scaled by the training items.

    Args:
        sets: training items, and others.
        declared: what is declared about them.
        names: values of their classes by index; None without labels.

    Raises:
        ValueError: for an empty set, sets of different types, or numbers that are not finite or all
            alike.
    """
    if any(len(part) == 0 for part in sets):
        raise ValueError("x: no items; give at least one in every set")
    if len({part.x.is_floating_point() for part in sets}) > 1:
        raise ValueError("x: uint8 in one set and float in another; save all sets alike")

    train = sets[0].x
    shape = tuple(train.shape[1:])
    for part in sets:
        check_finite(part.x, declared.columns if shape == tuple(part.x.shape[1:]) else None)

    low, high, levels = _range(train, sets, declared)
    stored = None if names is None or are_counted(names) else names
    return DataSpec(
        shape,
        low,
        high,
        levels,
        None if names is None else len(names),
        stored,
        declared.columns,
        bounded=declared.bounds is not None and levels is None,
        vocabulary=declared.vocabulary,
    )


def narrowed(items: Items, spec: DataSpec) -> Items:
    """Continuous items as float32 where that keeps their digits."""
    return items if spec.levels is not None else replace(items, x=items.x.to(spec.dtype))


def _range(
    train: Tensor, sets: Sequence[Items], declared: Declared
) -> tuple[Ends, Ends, int | None]:
    """low, high and the number of levels."""
    if not train.is_floating_point():
        if declared.bounds is not None:
            raise ValueError(
                "bounds: are for continuous numbers, and these are levels from 0; "
                "declare levels, or save floats"
            )
        assert declared.levels is not None, "whole numbers have levels"
        return 0.0, declared.levels - 1.0, declared.levels

    if declared.bounds is not None:
        low, high = (
            end if np.ndim(end) == 0 else tuple(np.ravel(end).tolist()) for end in declared.bounds
        )
        return low, high, declared.levels
    if declared.levels is None:
        return *scaling(train, declared.columns), None

    low, high = (
        min(part.x.min().item() for part in sets),
        max(part.x.max().item() for part in sets),
    )
    if low == high:
        raise ValueError(f"x: every number is {low:g}; levels need numbers that vary")
    return low, high, declared.levels


def as_numpy(name: str, values: Any) -> NDArray[np.generic]:
    """The values as a numpy array. ValueError for lists of different lengths and for objects."""
    if isinstance(values, Tensor):
        dense = values.detach().cpu().to_dense()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()

    check_unmasked(name, values)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: lists of different lengths; give an array of one shape"
        ) from None

    if array.dtype.kind == "O":
        raise ValueError(f"{name}: holds Python objects; give an array of numbers")
    return array


def _labels(labels: Any, count: int) -> NDArray[np.generic]:
    """Values of classes. ValueError for another kind, or another number of them than items."""
    array = label_array(labels)
    if array.shape != (count,):
        raise ValueError(f"labels: shape {array.shape} for {count} items; give one label an item")
    return array


def _tensor(array: NDArray[np.generic], levels: int | None) -> Shaped[Tensor, "n *shape"]:
    """The smallest integers for levels, else float32 or float64."""
    if array.dtype.kind in "biu" and levels is not None:
        return _channels_first(_levels(array, levels))
    if array.dtype.kind not in "iuf":
        raise ValueError(f"x: dtype {array.dtype}; save whole numbers or floats")

    wide = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
    with np.errstate(over="ignore"):  # longdouble: infinite numbers are refused later
        return torch.from_numpy(np.ascontiguousarray(array, dtype=wide))


def _levels(array: NDArray[np.generic], levels: int) -> Integer[Tensor, "n *shape"]:
    """Integers 0 to levels - 1 in the smallest type. ValueError for others, and more levels."""
    if not 2 <= levels <= _MOST_LEVELS:
        raise ValueError(
            f"levels={levels}: integers may take 2 to {_MOST_LEVELS:,} values; for more, give "
            "floats"
        )
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= levels:
            raise ValueError(
                f"x: integers in [{low}, {high}]; {levels} levels are 0 to {levels - 1}, give more "
                "of them, or numbers from 0"
            )

    small = {torch.uint8: np.uint8, torch.int16: np.int16, torch.int32: np.int32}
    dtype = small[smallest_dtype(levels)]
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))


def _levels_of(declared: Declared, array: NDArray[np.generic]) -> int:
    """The levels of a vocabulary. ValueError for others that are declared, and for floats."""
    vocabulary = declared.vocabulary
    assert vocabulary is not None
    if declared.levels not in (None, vocabulary.levels):
        raise ValueError(f"levels={declared.levels}: {vocabulary} has {vocabulary.levels}")
    if array.dtype.kind not in "biu":
        raise ValueError(f"x: dtype {array.dtype}; tokens are whole numbers, save them as such")
    return vocabulary.levels


def _channels_first(x: Integer[Tensor, "n *shape"]) -> Integer[Tensor, "n *shape2"]:
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim != 4 or x.shape[1] in _CHANNELS:
        return x
    if x.shape[3] in _CHANNELS:
        return x.permute(0, 3, 1, 2).contiguous()

    raise ValueError(
        f"x: shape {tuple(x.shape)} has no axis of 1, 3 or 4 channels; save images as (N, C, H, W)"
    )
