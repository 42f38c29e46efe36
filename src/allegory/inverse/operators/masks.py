"""Masks by name: which numbers of an item are known."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ...lookup import is_whole, pick

HALVES = {"lower": (0, True), "upper": (0, False), "right": (1, True), "left": (1, False)}
"""The axis of each half, from the last two, and whether it is the end of it."""


def half_mask(shape: tuple[int, ...], unknown: str) -> Bool[Tensor, "*shape"]:
    """All but one half of an image is known.

    Args:
        shape: of an item; its last two axes are those of an image.
        unknown: "lower", "upper", "left" or "right", the half that is unknown; the larger one of an
            odd side.

    Raises:
        ValueError: for another half, and items that are no images.
    """
    axis, at_end = pick("half", unknown, HALVES)
    space = _image(shape)
    known = torch.ones(shape, dtype=torch.bool)
    half = space[axis] // 2
    start = half if at_end else 0
    known.narrow(axis - 2, start, space[axis] - half).fill_(False)

    return known


def box_mask(shape: tuple[int, ...], fraction: float) -> Bool[Tensor, "*shape"]:
    """All but a box in the centre of an image is known.

    Args:
        shape: of an item; its last two axes are those of an image.
        fraction: the sides of the box over those of the image, above 0 and at most 1.

    Raises:
        ValueError: for another fraction, and items that are no images.
    """
    known = inside = torch.ones(shape, dtype=torch.bool)
    starts, sizes = centred_box(shape, fraction)
    for axis, start, size in zip((-2, -1), starts, sizes, strict=True):
        inside = inside.narrow(axis, start, size)
    inside.fill_(False)

    return known


def random_mask(shape: tuple[int, ...], fraction: float, seed: int = 0) -> Bool[Tensor, "*shape"]:
    """A random fraction of the pixels is unknown, the same in all channels.

    Args:
        shape: of an item; its last two axes are those of an image, else its only one.
        fraction: of unknown pixels, rounded to a whole number of them; from 0 to 1.
        seed: a whole number of 0 or more.

    Raises:
        ValueError: for another fraction or seed.
    """
    _check_fraction(fraction, least=0.0)
    space = shape[-2:]
    order = random_order(prod(space), seed)
    known = torch.ones(prod(space), dtype=torch.bool)
    known[order[: round(fraction * prod(space))]] = False

    return known.reshape(space).expand(shape).clone()


def centred_box(shape: tuple[int, ...], fraction: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first indices and the sides of a box in the centre of an image.

    Args:
        shape: of an item; its last two axes are those of an image.
        fraction: the sides of the box over those of the image, above 0 and at most 1.

    Raises:
        ValueError: for another fraction, and items that are no images.
    """
    _check_fraction(fraction)
    space = _image(shape)
    sizes = tuple(max(1, round(fraction * side)) for side in space)
    starts = tuple((side - size) // 2 for side, size in zip(space, sizes, strict=True))

    return starts, sizes


def random_order(count: int, seed: int) -> Tensor:
    """The numbers below `count` in random order.

    Args:
        count: how many.
        seed: a whole number of 0 or more.

    Raises:
        ValueError: for another seed.
    """
    if not is_whole(seed) or seed < 0:
        raise ValueError(f"seed={seed}: give a whole number of 0 or more")
    generator = np.random.Generator(np.random.SFC64(int(seed)))
    return torch.from_numpy(generator.permutation(count))


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 2:
        raise ValueError(f"shape={shape}: is no image; give (*channels, height, width)")
    return shape[-2:]


def _check_fraction(fraction: float, least: float = 1e-9) -> None:
    if not least <= fraction <= 1:
        raise ValueError(f"fraction={fraction}: give a number from 0 to 1")
