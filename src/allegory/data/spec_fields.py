"""The fields of a `DataSpec`: which are possible, which items agree with them, and their text."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..conditions import CONDITIONS, Condition
from ..conditions.classes import check_class_names, classes_text
from ..lookup import check_type, is_whole, pick, printable
from ..typed import fields_of, typed
from .columns import check_finite, number_name

if TYPE_CHECKING:
    from .spec import DataSpec

_TUPLES = ("shape", "low", "high", "class_names", "columns")


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
    if labels is not None:
        _check_labels(spec, labels, len(raw))


def described(spec: DataSpec) -> str:
    """A spec in a few words, e.g. "items (1, 8, 8), 17 levels, classes 0 to 9"."""
    parts = [f"items {spec.shape}"]
    if spec.columns is not None:
        shown = ", ".join(spec.columns[:12]) + (", ..." if len(spec.columns) > 12 else "")
        parts.append(f"columns {printable(shown)}")
    if spec.levels is not None:
        parts.append(f"{spec.levels} levels from {spec.low:g} to {spec.high:g}")
    else:
        parts.append("continuous in declared bounds" if spec.bounded else "continuous")
    if spec.classes is not None:
        parts.append(f"classes {classes_text(spec.class_names, spec.classes)}")
    if spec.condition is not None:
        parts.append(f"given {spec.condition}")

    return ", ".join(parts)


def plain_values(spec: DataSpec) -> dict[str, Any]:
    """The fields of a spec as JSON values; tuples are lists, a condition says its kind."""
    return {field.name: _plain(getattr(spec, field.name)) for field in fields(spec)}


def hash_of(condition: Condition) -> str:
    """A hash (BLAKE2b, 64 bits) of a condition with all its fields."""
    content = json.dumps(_plain(condition), sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def values_of(kind: type[DataSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec from JSON values.

    Args:
        kind: DataSpec.
        values: what `plain_values` returned.

    Raises:
        ValueError: where fields are missing or unknown.
    """
    names = {field.name for field in fields(kind)}
    if not isinstance(values, Mapping) or set(values) != names:
        raise ValueError(
            f"fields {sorted(values) if isinstance(values, Mapping) else values}: expected "
            f"{sorted(names)}; write them with DataSpec.to_dict"
        )
    if not isinstance(values["shape"], list | tuple):
        raise ValueError(f"shape={values['shape']}: give a list of whole numbers")
    made = {
        name: tuple(value) if name in _TUPLES and isinstance(value, list) else value
        for name, value in values.items()
    }
    if values["condition"] is not None:
        made["condition"] = typed(values["condition"], Condition, "condition", _made)

    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Condition) and is_dataclass(value):
        content = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {"kind": type(value).__name__} | content
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _made(value: Mapping[str, Any], place: str) -> Condition:
    """The condition of an object that says its kind."""
    kind = pick("kind of condition", str(value["kind"])[:80], CONDITIONS)
    given = {name: each for name, each in value.items() if name != "kind"}
    return fields_of(kind, given, place, _made)


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
    raise ValueError(
        f"{name}: values in [{least[place]:g}, {most[place]:g}], outside "
        f"[{low[place]:g}, {high[place]:g}]; rescale it, or declare {law}"
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
