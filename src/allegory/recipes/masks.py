"""Which pixels of a picture are missing: masks by name, such as "lower" or "center:0.3"."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ..lookup import Registry

MissingPixels = Callable[[int, int], Bool[Tensor, "h w"]]
"""(height, width) -> True where a pixel is missing."""

MASKS: Registry[MissingPixels] = Registry("mask")
"""The masks by name; the number after a name is a fraction, from 0 to 1."""


def _halves(axis: int, is_first: bool) -> Callable[[float], MissingPixels]:
    """Masks of the first or the last rows (axis 0) or columns (axis 1)."""

    def make(fraction: float) -> MissingPixels:
        _check(fraction)

        def missing(height: int, width: int) -> Tensor:
            side = (height, width)[axis]
            place = torch.arange(side).unsqueeze(1 - axis)
            count = round(fraction * side)
            chosen = place < count if is_first else place >= side - count
            return chosen.expand(height, width).clone()

        return missing

    return make


def _center(fraction: float) -> MissingPixels:
    """The rectangle in the middle, with this fraction of each side."""
    _check(fraction)

    def missing(height: int, width: int) -> Tensor:
        inside = []
        for side in (height, width):
            count = round(fraction * side)
            place, start = torch.arange(side), (side - count) // 2
            inside.append((place >= start) & (place < start + count))
        return inside[0][:, None] & inside[1]

    return missing


def _border(fraction: float) -> MissingPixels:
    """All but the rectangle in the middle; the fraction of each side that is missing."""
    inner = _center(1 - fraction)
    return lambda height, width: ~inner(height, width)


def _random(fraction: float) -> MissingPixels:
    """This fraction of the pixels, always the same for one size."""
    _check(fraction)

    def missing(height: int, width: int) -> Tensor:
        order = np.random.default_rng(0).permutation(height * width)
        return torch.from_numpy(order < round(fraction * height * width)).reshape(height, width)

    return missing


def _check(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction}; give a number between 0 and 1")


_FRACTION = "the fraction of that side, between 0 and 1"

for _name, _axis, _is_first in (
    ("lower", 0, False),
    ("upper", 0, True),
    ("left", 1, True),
    ("right", 1, False),
):
    _make = _halves(_axis, _is_first)
    MASKS.register(
        _name, _make(0.5), f"the {_name} half is missing", make=_make, parameter=_FRACTION
    )

MASKS.register(
    "center",
    _center(0.5),
    "the middle is missing, half of each side",
    make=_center,
    parameter="the fraction of each side, between 0 and 1",
)
MASKS.register(
    "border",
    _border(0.5),
    "all but the middle is missing",
    make=_border,
    parameter="the fraction of each side that is missing, between 0 and 1",
)
MASKS.register(
    "random",
    _random(0.5),
    "half of the pixels are missing, at random but always the same",
    make=_random,
    parameter="the fraction of the pixels, between 0 and 1",
)
