"""The fields of a `DataSpec`: which are possible, which items agree with them, and their text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..conditions import Condition
from ..conditions.classes import check_class_names, classes_text
from ..lookup import check_type, is_whole, printable
from .columns import check_finite, number_name
from .table_schema import TableSchema
from .vocabularies import Vocabulary

if TYPE_CHECKING:
    from .spec import DataSpec


def check_fields(spec: DataSpec) -> None:
    """Make the fields of a new spec plain values. ValueError where no data can meet them."""
    _plain_shape(spec)
    _plain_ends(spec)
    if spec.levels is not None and (not is_whole(spec.levels) or spec.levels < 2):
        raise ValueError(f"levels={spec.levels}: give 2 or more, or None for continuous data")
    if spec.classes is not None and (not is_whole(spec.classes) or spec.classes < 1):
        raise ValueError(f"classes={spec.classes}: give 1 or more, or None for data without labels")
    if not isinstance(spec.bounded, bool):
        raise ValueError(f"bounded={spec.bounded}: give True or False")
    for name in ("levels", "classes"):
        value = getattr(spec, name)
        object.__setattr__(spec, name, None if value is None else int(value))

    if spec.levels is not None and isinstance(spec.low, tuple):
        raise ValueError("low, high: one for each number; data of levels have one for all")
    if spec.class_names is not None:
        check_class_names(spec.class_names, spec.classes)
        object.__setattr__(spec, "class_names", tuple(spec.class_names))
    if spec.columns is not None:
        _plain_columns(spec)
    if spec.condition is not None:
        check_type("condition", spec.condition, Condition, "a kind, such as Numbers(2), or None")
        spec.condition.check_fits(spec.shape, spec.low, spec.high)
    if spec.vocabulary is not None:
        _check_vocabulary(spec)
    if spec.table is not None:
        _check_table(spec)


def check_items(spec: DataSpec, raw: Tensor, labels: Tensor | None) -> None:
    """Refuse items that do not agree with a spec.

    Args:
        spec: what they should be.
        raw: items, (n, *shape).
        labels: indices of classes, one per item, or None.

    Raises:
        ValueError: with the first thing wrong and the remedy.
    """
    check_type("x", raw, Tensor, "a torch tensor of items, e.g. torch.as_tensor(x)")
    if len(raw) == 0:
        raise ValueError("x: no items; give at least one")
    if tuple(raw.shape[1:]) != spec.shape:
        raise ValueError(
            f"x: items of shape {tuple(raw.shape[1:])}, expected {spec.shape}; reshape the array"
        )

    check_finite(raw, spec.columns)
    if spec.range_is_law:
        _check_range(spec, raw)
    if spec.levels is not None and not spec.on_grid(raw):
        raise ValueError(
            f"x: values between the {spec.levels} levels of [{spec.low:g}, {spec.high:g}]; "
            "round them, or declare no levels: the data are then continuous"
        )
    allowed = spec.allowed
    if allowed is not None:
        _check_allowed(spec, allowed, spec.index(raw))
    if spec.table is not None:
        spec.table.check_codes(raw[:, len(spec.table.numbers) :].cpu().double().numpy())
    if labels is not None:
        _check_labels(spec, labels, len(raw))


def described(spec: DataSpec) -> str:
    """A spec in a few words, e.g. "items (1, 8, 8), 17 levels, classes 0 to 9"."""
    parts = [f"items {spec.shape}"]
    if spec.table is not None:
        parts.append(str(spec.table))
    elif spec.columns is not None:
        shown = ", ".join(spec.columns[:12]) + (", ..." if len(spec.columns) > 12 else "")
        parts.append(f"columns {printable(shown)}")
    if spec.levels is not None:
        parts.append(f"{spec.levels} levels from {spec.low:g} to {spec.high:g}")
    elif spec.table is None:
        parts.append("continuous in declared bounds" if spec.bounded else "continuous")
    if spec.vocabulary is not None:
        parts.append(str(spec.vocabulary))
    if spec.classes is not None:
        parts.append(f"classes {classes_text(spec.class_names, spec.classes)}")
    if spec.condition is not None:
        parts.append(f"given {spec.condition}")

    return ", ".join(parts)


def _plain_shape(spec: DataSpec) -> None:
    shape = spec.shape
    good = isinstance(shape, Sequence) and all(is_whole(each) for each in shape)
    if not good or not shape or min(shape) < 1:
        raise ValueError(f"shape={shape}: give at least one axis, each of length 1 or more")
    object.__setattr__(spec, "shape", tuple(int(each) for each in shape))


def _plain_ends(spec: DataSpec) -> None:
    """low and high as two floats, or as two tuples of a float for each number of an item."""
    low, high = (_plain_end(name, getattr(spec, name)) for name in ("low", "high"))
    lows, highs = (end if isinstance(end, tuple) else (end,) for end in (low, high))
    if isinstance(low, tuple) != isinstance(high, tuple) or len(lows) != len(highs):
        raise ValueError("low, high: give two numbers, or two for each number of an item")
    if isinstance(low, tuple) and len(low) != spec.dims:
        raise ValueError(f"low: {len(low)} for the {spec.dims} numbers of an item; give one each")

    for place, (a, b) in enumerate(zip(lows, highs, strict=True)):
        if not (math.isfinite(b - a) and a < b):
            where = f" (number {place})" if isinstance(low, tuple) else ""
            raise ValueError(f"low={a}, high={b}{where}: give two finite numbers, low below high")
    object.__setattr__(spec, "low", low)
    object.__setattr__(spec, "high", high)


def _plain_end(name: str, end: Any) -> float | tuple[float, ...]:
    try:
        end = end.tolist() if hasattr(end, "tolist") else end
        numbers = tuple(end) if isinstance(end, list | tuple) else (end,)
        if any(isinstance(each, bool | str | bytes) for each in numbers):
            raise TypeError
        plain = tuple(float(each) for each in numbers)
        return plain if isinstance(end, list | tuple) else plain[0]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name}: {end!r:.60}; give a number, or one for each number") from None


def _plain_columns(spec: DataSpec) -> None:
    columns: Any = spec.columns
    if (
        not isinstance(columns, list | tuple)
        or not all(isinstance(name, str) for name in columns)
        or len({*columns}) < len(columns)
    ):
        raise ValueError("columns: give names, each of them once")
    if spec.shape != (len(columns),):
        raise ValueError(
            f"columns: {len(columns)} names for items of shape {spec.shape}; "
            "give one for each number of items of one axis"
        )
    object.__setattr__(spec, "columns", tuple(columns))


def _check_vocabulary(spec: DataSpec) -> None:
    """Refuse a vocabulary for items that it does not fit."""
    vocabulary = spec.vocabulary
    check_type("vocabulary", vocabulary, Vocabulary, "a kind, such as Bytes(), or None")
    assert vocabulary is not None
    found = (spec.low, spec.high, spec.levels)
    wanted = (0.0, vocabulary.levels - 1.0, vocabulary.levels)

    if found != wanted:
        raise ValueError(
            f"vocabulary: {vocabulary} has {vocabulary.levels} levels from 0; give low=0, "
            f"high={vocabulary.levels - 1}, levels={vocabulary.levels}"
        )

    vocabulary.check_fits(spec.shape, spec.columns)


def _check_table(spec: DataSpec) -> None:
    """Refuse the columns of a table for items that are none of its rows."""
    table = spec.table
    check_type("table", table, TableSchema, "a TableSchema, or None")
    assert table is not None

    if spec.shape != (table.dims,) or spec.columns != table.entries:
        raise ValueError(
            f"table: rows of {table.dims} entries for items of shape {spec.shape}; give "
            f"shape=({table.dims},) and columns=table.entries"
        )
    if spec.levels is not None or spec.vocabulary is not None or spec.bounded:
        raise ValueError("table: rows have numbers and codes; leave levels, vocabulary and bounds")

    first = len(table.numbers)
    lows, highs = (end[first:] if isinstance(end, tuple) else () for end in (spec.low, spec.high))
    if {*lows} - {-1.0} or {*highs} - {1.0} or len(lows) < table.dims - first:
        raise ValueError("table: codes are left as they are; give low=-1 and high=1 for each")


def _check_allowed(spec: DataSpec, allowed: Tensor, index: Tensor) -> None:
    """Refuse levels that are not possible at their place."""
    places = torch.arange(spec.dims).view(spec.shape)
    odd = ~allowed.flatten(0, -2)[places, index.cpu()]
    if not bool(odd.any()):
        return

    place = int(odd.flatten(1).any(0).nonzero()[0])
    most = int(allowed.flatten(0, -2)[place].sum()) - 1
    raise ValueError(
        f"{number_name(spec.shape, spec.columns, place)}: level "
        f"{int(index.flatten(1)[:, place].max())}, which stands for nothing there; give 0 to {most}"
    )


def _check_range(spec: DataSpec, raw: Shaped[Tensor, "n *shape"]) -> None:
    """Refuse numbers outside of the levels, or of bounds that were declared."""
    low, high = (end.reshape(-1) for end in spec.ends())
    numbers = raw.reshape(-1, len(low))
    least, most = (each.cpu().double() for each in (numbers.amin(0), numbers.amax(0)))

    # A bound that was rounded to float32 is off by this much at most.
    slack = 2.0**-23 * torch.maximum(low.abs(), high.abs()) * raw.is_floating_point()
    outside = (least < low - slack) | (most > high + slack)
    if not bool(outside.any()):
        return

    place = int(outside.nonzero()[0])
    name = "x" if len(low) == 1 else number_name(spec.shape, spec.columns, place)
    law = "more levels" if spec.levels is not None else "wider bounds, or none"
    remedy = f"rescale it, or declare {law}"
    if spec.vocabulary is not None:
        remedy = f"give tokens of the vocabulary, {spec.vocabulary}"
    raise ValueError(
        f"{name}: values in [{least[place]:g}, {most[place]:g}], outside "
        f"[{low[place]:g}, {high[place]:g}]; {remedy}"
    )


def _check_labels(spec: DataSpec, labels: Shaped[Tensor, "*n"], count: int) -> None:
    if spec.classes is None:
        raise ValueError(
            "labels: given for data without classes; set classes, or leave the labels out"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels: dtype {labels.dtype}; give integers 0 to {spec.classes - 1}")
    if tuple(labels.shape) != (count,):
        raise ValueError(
            f"labels: shape {tuple(labels.shape)} for {count} items; give one label an item"
        )

    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= spec.classes:
        raise ValueError(
            f"labels: values in [{low}, {high}]; give integers 0 to {spec.classes - 1}"
        )
