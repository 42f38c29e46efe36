"""Series and videos whose condition is their own first frames: the data of a model that continues.

An item is (time, channels) or (time, channels, height, width). Its first k frames become the
condition, and the rest the item, so that a bound is one of log p(rest | first k frames), in bits
per number of the rest. Where the first frames are hidden, it is one of log p(rest).
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..conditions import Picture
from ..lookup import Note
from .columns import Ends
from .dataset import Dataset
from .items import Items
from .spec import DataSpec

_WITH_TIME = (2, 4)
"""Axes of a series, and of a video."""


def first_frames(dataset: Dataset, option: int | str) -> Dataset:
    """The same items without their first frames, which are the condition.

    Args:
        dataset: series (time, channels) or videos (time, channels, height, width).
        option: how many frames are given, such as 2 or "2".

    Raises:
        ValueError: for an option that is no whole number of at least 1, as many frames as an item
            has or more, items without an axis of time, and data with a condition or a transform.
    """
    count = _count(str(option), dataset)

    spec = dataset.spec
    shape = (count, *spec.shape[1:])
    low, high = _ends(dataset.train.x[:, :count], spec)
    kind = Picture(shape, low, high, bounded=spec.range_is_law)

    rest = replace(
        spec,
        shape=(spec.shape[0] - count, *spec.shape[1:]),
        low=_later(spec.low, spec, count),
        high=_later(spec.high, spec, count),
        condition=kind,
    )
    train, validation, test = (_divided(items, kind, count) for items in dataset.sets)
    return replace(dataset, spec=rest, train=train, validation=validation, test=test)


def continues(spec: DataSpec) -> bool:
    """Whether items are what follows first frames, which are their condition.

    Args:
        spec: what the items are.
    """
    kind = spec.condition
    has_time = len(spec.shape) in _WITH_TIME
    return has_time and isinstance(kind, Picture) and kind.shape[1:] == spec.shape[1:]


def _count(option: str, dataset: Dataset) -> int:
    """The number of first frames. ValueError where the data have not so many, or no time."""
    spec, name = dataset.spec, dataset.name

    if not option.isdecimal() or int(option) < 1:
        raise ValueError(
            f"given={option}: give the number of first frames, 1 or more, as in given=2"
        )

    if len(spec.shape) not in _WITH_TIME:
        raise ValueError(
            f"given={option}: {name} has items of shape {spec.shape}; it is for series (time, "
            "channels) and videos (time, channels, height, width), leave it out"
        )
    if int(option) >= spec.shape[0]:
        raise ValueError(
            f"given={option}: {name} has items of {spec.shape[0]} frames; give fewer, at most "
            f"{spec.shape[0] - 1}"
        )

    if dataset.transform is not None:
        raise ValueError(
            f"given={option}: {name} has a transform (flip, binarize=dynamic), which changes "
            "items after their first frames were taken; leave one out"
        )
    if spec.condition is not None:
        raise ValueError(f"given={option}: {name} has a condition; leave one out")

    return int(option)


def _divided(items: Items, kind: Picture, count: int) -> Items:
    """The items with their first frames as rows."""
    with warnings.catch_warnings():  # held-out items may lie outside of the training items' range
        warnings.simplefilter("ignore", Note)
        rows = kind.encode(items.x[:, :count].numpy())

    return replace(items, x=items.x[:, count:].contiguous(), condition=rows)


def _ends(first: Shaped[Tensor, "n *shape"], spec: DataSpec) -> tuple[Ends, Ends]:
    """What a network sees as -1 and 1: bounds that are a law, else those of the training items."""
    if spec.range_is_law:
        shape = tuple(first.shape[1:])
        low, high = (_first(end, spec, shape[0]) for end in (spec.low, spec.high))
        return low, high

    numbers = first.double().flatten(1) if isinstance(spec.low, tuple) else first.double().flatten()
    least, most = numbers.amin(0), numbers.amax(0)
    most = most.where(most > least, least + 1)

    if isinstance(spec.low, tuple):
        return tuple(least.tolist()), tuple(most.tolist())
    return least.item(), most.item()


def _first(end: Ends, spec: DataSpec, count: int) -> Ends:
    """The end of the first frames."""
    return tuple(_by_frame(end, spec)[:count].ravel().tolist()) if isinstance(end, tuple) else end


def _later(end: Ends, spec: DataSpec, count: int) -> Ends:
    """The end of the frames after the first."""
    return tuple(_by_frame(end, spec)[count:].ravel().tolist()) if isinstance(end, tuple) else end


def _by_frame(end: tuple[float, ...], spec: DataSpec) -> Shaped[NDArray[Any], "*shape"]:
    return np.reshape(end, spec.shape)
