"""Which kind of condition values are, by their type and axes, and the kind with its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from ..conditions import CONDITIONS, Combined, Condition, Labels, Numbers, Picture, Tags
from ..conditions.base import is_missing
from ..conditions.classes import are_counted, check_unmasked, class_names, label_array
from ..lookup import pick
from .columns import Ends

Kind = Condition | type[Condition]
"""A kind of condition, or its class: the rest is then taken from the values."""

PART_DROPOUT = 0.1
"""How often a part of several conditions is hidden by itself in training."""

_CHANNELS = (1, 3, 4)
_TEXT = "UO"
"""The kinds of dtypes of text: without, and with missing ones, which are None."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table that are a condition.

    Args:
        values: each column by its name, (n,).
    """

    values: Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Part:
    """The values of one condition, one per item.

    Args:
        kind: declared, or by the values: a kind with all it needs, or its class.
        values: an array (n, ...), or a list of sets of names.
        names: what numbers or labels are called; None for without names.
    """

    kind: Kind
    values: Any
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.values)

    def take(self, index: Int64[NDArray[np.int64], " m"]) -> Any:
        """The values of some of the items."""
        if isinstance(self.values, np.ndarray):
            return self.values[index]
        return [self.values[place] for place in index]

    def named(self) -> Any:
        """The values, numbers with names as a mapping from these."""
        if self.names is None or not isinstance(self.values, np.ndarray):
            return self.values
        if self.values.ndim == 1:
            return self.values
        return {name: self.values[:, place] for place, name in enumerate(self.names)}


def part_of(
    values: Any, count: int, kind: Any, is_alone: bool, shape: tuple[int, ...] = ()
) -> Part:
    """One condition, with its kind by the values where none is declared.

    Args:
        values: an array or a list, one entry per item.
        count: the number of items.
        kind: declared, or None.
        is_alone: whether it is all of the condition, so that it is no class.
        shape: of an item, where it is known: an array (n, k, channels) beside series (time,
            channels) is their first k times, and beside other items it is grey pictures.

    Raises:
        ValueError: for another number of items, and for values that are of no kind.
    """
    if kind is not None and not _is_kind(kind):
        raise ValueError(f"condition_kind={kind!r:.60}: give a kind, such as Numbers or Labels")
    names = None
    if isinstance(values, Columns):
        names, values = tuple(values.values), np.stack([*values.values.values()], 1)
        if kind is Labels or isinstance(kind, Labels):
            values = values[:, 0]

    tags = _sets(values)
    found = tags if tags is not None else _array(values)
    if len(found) != count:
        raise ValueError(f"condition: {len(found)} for {count} items; give one per item")
    if isinstance(found, list):
        return Part(Tags if kind is None else kind, found, names)

    kind = _natural(found, is_alone) if kind is None else kind
    if is_alone and (kind is Labels or isinstance(kind, Labels)):
        raise ValueError("condition: classes alone are given as labels=")
    is_series = len(shape) == 2 and found.ndim == 3 and found.shape[2] == shape[1]
    return Part(kind, found if kind is Picture and is_series else _shaped(found, kind), names)


def _shaped(array: NDArray[Any], kind: Kind) -> Any:
    """An array with the axes of its kind, so that one item is no value for all; text as a list."""
    made = kind if isinstance(kind, type) else type(kind)
    if made is Numbers:
        return array.reshape(len(array), -1)
    if made is Picture and (isinstance(kind, type) or len(kind.row_shape) == 3):
        return _channels_first(array)
    if array.dtype.kind not in _TEXT or made is Labels:
        return array

    texts: list[str | None] = array.tolist()
    return [None if text is None else [text] for text in texts] if made is Tags else texts


def check_names(values: Mapping[str, Any], kind: Condition) -> None:
    """Refuse values that lack a number or a part of a kind, which would be hidden.

    Args:
        values: of each part by name, as `Part.named` gives them.
        kind: what they are for.

    Raises:
        ValueError: for a name that is missing.
    """
    if isinstance(kind, Combined):
        given, wanted = {*values}, kind.names
    elif isinstance(kind, Numbers) and kind.names is not None:
        found = next(iter(values.values())) if len(values) == 1 else values
        if not isinstance(found, Mapping):
            return
        given, wanted = {*found}, kind.names
    else:
        return

    for name in wanted:
        if name not in given:
            raise ValueError(f"add {name!r}")


def _is_kind(kind: Any) -> bool:
    return isinstance(kind, Condition) or (isinstance(kind, type) and issubclass(kind, Condition))


def _sets(values: Any) -> list[list[str] | None] | None:
    """Names per item where values are sets or lists of them, None for a missing one; else None."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return None
    each_or_none = [None if is_missing(each) else each for each in values]
    known = [each for each in each_or_none if each is not None]
    if not known or not all(isinstance(each, set | frozenset | list | tuple) for each in known):
        return None

    if not all(isinstance(name, str) for each in known for name in each):
        return None
    return [None if each is None else sorted(each) for each in each_or_none]


def _array(values: Any) -> NDArray[Any]:
    """Values as an array of numbers, truth values or text."""
    check_unmasked("condition", values)
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except ValueError:
        raise ValueError(
            "condition: lists of different lengths; give an array, or sets of names"
        ) from None
    if array.ndim == 0:
        raise ValueError(f"condition={values!r:.60}: give one value per item")

    if array.dtype.kind == "O":
        return _of_objects(array)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind not in "biufU":
        raise ValueError(f"condition: {array.dtype}; give numbers, truth values, text or pictures")
    return array


def _of_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Objects as an array of text, of objects with None where a text is missing, or of numbers."""
    missing = np.array([is_missing(each) for each in array.flat], dtype=bool).reshape(array.shape)
    known = array[~missing].tolist()
    if array.ndim == 1 and all(isinstance(each, str) for each in known):
        if not missing.any():
            return np.array(known)
        texts = array.copy()
        texts[missing] = None
        return texts
    if all(isinstance(each, Real) for each in known):
        return np.where(missing, np.nan, array).astype(np.float64)
    raise ValueError("condition: objects; give numbers, truth values, text or pictures")


def _natural(array: NDArray[Any], is_alone: bool) -> type[Condition]:
    """The kind that an array is by its type and axes."""
    is_text, is_truth = array.dtype.kind in _TEXT, array.dtype.kind == "b"
    if array.ndim == 1 and is_text:
        return pick("kind of condition", "Text", CONDITIONS)
    if array.ndim == 1 and array.dtype.kind in "biu":
        if is_alone:
            raise ValueError(
                f"condition: {array.dtype} of shape {array.shape}; give labels= for classes, "
                "floats for a number, or condition_kind="
            )
        return Labels

    if array.ndim == 2 and is_truth:
        return Tags
    if array.ndim <= 2 and not is_text:
        return Numbers
    if array.ndim in (3, 4, 5) and not is_text:
        return Picture
    raise ValueError(
        f"condition: {array.dtype} of shape {array.shape}; give numbers (n, k), text (n,) or "
        "pictures (n, c, h, w) or frames (n, time, c, h, w)"
    )


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Pictures as (n, c, h, w)."""
    if array.ndim == 3:
        return array[:, None]
    is_last = array.ndim == 4 and array.shape[1] not in _CHANNELS and array.shape[3] in _CHANNELS
    return array.transpose(0, 3, 1, 2) if is_last else array


def complete_kind(part: Part, train: Int64[NDArray[np.int64], " m"]) -> Condition:
    """The kind of a part with the vocabulary or the ranges of the training items.

    Args:
        part: the values, of all items.
        train: which of them are training items.

    Raises:
        ValueError: for values that no kind can be made of.
    """
    kind, some = part.kind, part.take(train)
    if isinstance(kind, Condition):
        return kind
    if kind is Numbers:
        table = np.asarray(some, np.float64).reshape(len(some), -1)
        return Numbers.of(table, part.names)
    if kind is Labels:
        names = class_names(label_array([each for each in part.values if not is_missing(each)]))
        return Labels(len(names), None if are_counted(names) else names)
    if kind is Tags:
        return Tags(_tag_names(part))
    if kind is Picture:
        return Picture(part.values.shape[1:], *_ends(some))

    make = getattr(kind, "of", None)
    if make is None:
        raise ValueError(f"condition_kind={kind.__name__}: give one with its arguments")
    made: Condition = make(some)
    return made


def _tag_names(part: Part) -> tuple[str, ...]:
    """The labels that occur, in order of name, or those of the columns."""
    if isinstance(part.values, list):
        return tuple(sorted({name for each in part.values for name in each or ()}))
    count = part.values.shape[-1]
    return part.names or tuple(f"label {place}" for place in range(count))


def _ends(pictures: NDArray[Any]) -> tuple[Ends, Ends]:
    """What a network sees as -1 and 1; for each number of first times (n, k, channels)."""
    if pictures.dtype == np.uint8:
        return 0.0, 255.0
    if pictures.dtype == bool:
        return 0.0, 1.0
    if not np.isfinite(pictures).any():
        raise ValueError("condition: pictures without a finite number; leave them out")
    if pictures.ndim == 3:
        numbers = pictures.reshape(len(pictures), -1).astype(np.float64)
        known = np.isfinite(numbers)
        least = np.where(known, numbers, np.inf).min(0)
        most = np.where(known, numbers, -np.inf).max(0)
        least = np.where(known.any(0), least, 0.0)
        most = np.where(most > least, most, least + 1.0)
        return tuple(least.tolist()), tuple(most.tolist())
    low, high = float(np.nanmin(pictures)), float(np.nanmax(pictures))
    return low, high if high > low else low + 1.0


def with_dropout(kind: Condition) -> Condition:
    """A part that is hidden by itself now and then, where its kind has a dropout."""
    if not is_dataclass(kind) or getattr(kind, "dropout", None) != 0:
        return kind
    return replace(kind, dropout=PART_DROPOUT)
