"""Which pixels of a picture are missing: masks by name, such as "lower" or "center:0.3"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaxtyping import Bool
from torch import Tensor

from ..inverse.operators import box_mask, half_mask, random_mask
from ..inverse.operators.masks import HALVES
from ..lookup import Registry

MissingPixels = Callable[[int, int], Bool[Tensor, "h w"]]
"""(height, width) -> True where a pixel is missing."""

MASKS: Registry[MissingPixels] = Registry("mask")
"""The masks by name."""


def _half(side: str, height: int, width: int) -> Tensor:
    return ~half_mask((height, width), side)


def _center(fraction: float) -> MissingPixels:
    box_mask((1, 1), fraction)  # refuses what is no fraction
    return lambda height, width: ~box_mask((height, width), fraction)


def _border(fraction: float) -> MissingPixels:
    box_mask((1, 1), 1 - fraction)
    return lambda height, width: box_mask((height, width), 1 - fraction)


def _random(fraction: float) -> MissingPixels:
    random_mask((1, 1), fraction)
    return lambda height, width: ~random_mask((height, width), fraction)


for _side in HALVES:
    MASKS.register(_side, partial(_half, _side), f"the {_side} half is missing")
MASKS.register(
    "center",
    _center(0.5),
    "the middle is missing, half of each side",
    make=_center,
    parameter="the fraction of each side, above 0 and at most 1",
)
MASKS.register(
    "border",
    _border(0.5),
    "all but the middle is missing, half of each side",
    make=_border,
    parameter="the fraction of each side that is missing, from 0 to below 1",
)
MASKS.register(
    "random",
    _random(0.5),
    "half of the pixels are missing, at random but always the same ones",
    make=_random,
    parameter="the fraction of the pixels, from 0 to 1",
)
