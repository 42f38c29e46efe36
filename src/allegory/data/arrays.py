"""From arrays of numbers to raw items, labels and their DataSpec.

- Whole numbers (n, h, w) are images (1, h, w).
- Whole numbers (n, c, h, w) or (n, h, w, c) are images (c, h, w). The channel axis is the one of
length 1, 3
  or 4; where both are, the array is taken as (n, c, h, w).
- All others are items as they are.

uint8 has 256 levels (0..255) unless told otherwise, bool has 2, and floats are continuous, from the
smallest to the largest number of all sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from numpy.typing import NDArray
from torch import Tensor

from ..lookup import is_whole
from .items import Items
from .spec import DataSpec
from .splits import count_classes

_CHANNELS = (1, 3, 4)


def from_memory(x: Any, labels: Any, levels: int | None) -> tuple[Items, DataSpec]:
    """Items and their DataSpec from arrays in memory.

    Args:
        x: numpy array or torch tensor, (n, *shape).
        labels: integers from 0, (n,), or None.
        levels: how many values a number can take; None takes that from the type.
    """
    array = _as_numpy("x", x)
    if array.dtype.kind == "b" and levels is None:
        levels = 2

    raw = items_from(array, levels)
    classes = None if labels is None else labels_from(labels, len(raw))
    items = Items(raw, classes)
    return items, spec_of([items], levels)


def items_from(x: Any, levels: int | None = None) -> Shaped[Tensor, "n *shape"]:
    """Raw items: uint8 for whole numbers up to 255, else float32.

    Args:
        x: numpy array or torch tensor, (n, *shape).
        levels: how many values a number can take; None takes that from the type.

    Raises:
        ValueError: for fewer than two axes, or a type that is not numeric.
    """
    array = _as_numpy("x", x)
    if levels is not None and not is_whole(levels):
        raise ValueError(f"levels={levels}: give a whole number, or None for continuous data")
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise ValueError(
            f"x: shape {array.shape}; give items along the first axis "
            "and their numbers along the others"
        )

    if array.dtype.kind == "b" or (array.dtype.kind in "iu" and levels is not None):
        array = _whole(array, 2 if levels is None else levels)

    if array.dtype == np.uint8:
        return _channels_first(torch.from_numpy(np.ascontiguousarray(array)))
    if array.dtype.kind != "f":
        raise ValueError(
            f"x: dtype {array.dtype}; save uint8 for 256 levels or float32 for continuous data"
        )

    # What is too large for float32 becomes infinite, which `spec_of` refuses.
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def labels_from(labels: Any, count: int) -> Int64[Tensor, " n"]:
    """Labels as int64.

    Args:
        labels: numpy array or torch tensor of integers, or a list of them, (n,).
        count: the number of items.

    Raises:
        ValueError: for a type that is not integer, or another number of labels than items.
    """
    array = _as_numpy("labels", labels)
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels: dtype {array.dtype}; save integers from 0")
    if array.size and array.min() < 0:
        raise ValueError(f"labels: smallest {array.min()}; give integers from 0")
    if array.shape != (count,):
        raise ValueError(f"labels: shape {array.shape} for {count} items; give one label an item")
    return torch.from_numpy(array.astype(np.int64))


def spec_of(parts: Sequence[Items], levels: int | None = None) -> DataSpec:
    """The one DataSpec that all sets share.

    Args:
        parts: the sets, as `items_from` made them.
        levels: how many values a number can take; None means 256 for uint8 and continuous for
            floats.

    Raises:
        ValueError: for an empty set, sets of different types, or numbers that are not finite or all
            alike.
    """
    if any(len(part) == 0 for part in parts):
        raise ValueError("x: no items; give at least one in every set")
    if len({part.x.dtype for part in parts}) > 1:
        raise ValueError("x: uint8 in one set and float in another; save all sets alike")

    classes = count_classes(parts)
    shape = tuple(parts[0].x.shape[1:])
    if parts[0].x.dtype == torch.uint8:
        levels = levels or 256
        return DataSpec(shape, 0.0, levels - 1.0, levels, classes)

    low = min(part.x.min().item() for part in parts)
    high = max(part.x.max().item() for part in parts)
    if not np.isfinite([low, high]).all():
        raise ValueError("x: holds NaN or infinite values; remove or replace those items")
    if low == high:
        raise ValueError(f"x: every number is {low:g}; a density needs numbers that vary")

    return DataSpec(shape, low, high, levels, classes)


def _as_numpy(name: str, values: Any) -> NDArray[np.generic]:
    """The values as a numpy array. ValueError for lists of different lengths and for objects."""
    if isinstance(values, Tensor):
        dense = values.detach().cpu().to_dense()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()

    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: lists of different lengths; give an array of one shape"
        ) from None

    if array.dtype.kind == "O":
        raise ValueError(f"{name}: holds Python objects; give an array of numbers")

    return array


def _whole(array: NDArray[np.generic], levels: int) -> NDArray[np.generic]:
    """Integers 0 to levels - 1 as uint8. ValueError for others, and for more than 256 levels."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if not 2 <= levels <= 256:
        raise ValueError(
            f"levels={levels}: integers may take 2 to 256 values; convert x to float32 for more, "
            "or for continuous data"
        )

    if low < 0 or high >= levels:
        raise ValueError(f"x: integers in [{low}, {high}]; {levels} levels are 0 to {levels - 1}")

    return array.astype(np.uint8)


def _channels_first(x: UInt8[Tensor, "n *shape"]) -> UInt8[Tensor, "n *shape2"]:
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim != 4 or x.shape[1] in _CHANNELS:
        return x
    if x.shape[3] in _CHANNELS:
        return x.permute(0, 3, 1, 2).contiguous()

    raise ValueError(
        f"x: shape {tuple(x.shape)} has no axis of 1, 3 or 4 channels; save images as (N, C, H, W)"
    )
