"""Short videos of handwritten digits that move in a box and bounce, made from the bundled digits.

A digit of 8x8 pixels moves in frames of 16x16 by 1 or 2 whole pixels per frame along each axis, up
or down and left or right, and bounces where it meets a side. So every frame has the 17 levels of
the digit itself, and two frames say all that follow, but for the sides that the digit came from.
Training, validation and test clips are made of different digits.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from .bundled import handwritten_digits
from .dataset import Dataset
from .items import Items
from .spec import DataSpec

FRAME_SIDE = 16
"""Height and width of a frame."""

_DIGIT = 8
_ROOM = FRAME_SIDE - _DIGIT
_SPEEDS = (-2, -1, 1, 2)
_COUNTS = {"train": 20_000, "validation": 500, "test": 1_000}
_PARTS = {"train": 0, "validation": 1, "test": 2}
_MOST_FRAMES = 64


def moving_digit_clips(*, count: int = _COUNTS["train"], frames: int = 8, seed: int = 0) -> Dataset:
    """Clips of moving digits with their classes; 500 validation and 1,000 test clips.

    Args:
        count: the number of training clips.
        frames: of a clip.
        seed: of the choice of digits, places and speeds, 0 or more.

    Raises:
        ValueError: for fewer than 100 or more than 200,000 clips, fewer than 2 or more than 64
            frames, and a negative seed.
    """
    if not 100 <= count <= 200_000:
        raise ValueError(f"count={count}; give 100 to 200,000 training clips")

    counts = _COUNTS | {"train": count}
    sets = {part: clips(part, number, frames, seed) for part, number in counts.items()}
    spec = DataSpec((frames, 1, FRAME_SIDE, FRAME_SIDE), 0.0, 16.0, 17, classes=10)
    made = {part: Items(x, labels) for part, (x, labels) in sets.items()}
    return Dataset("moving_digits", spec, made["train"], made["validation"], made["test"])


def clips(
    part: str, count: int, frames: int = 8, seed: int = 0
) -> tuple[UInt8[Tensor, "n frames 1 side side"], Int64[Tensor, " n"]]:
    """Clips and the digits that they show, the same at each call.

    Args:
        part: "train", "validation" or "test"; each has digits of its own.
        count: how many.
        frames: of a clip.
        seed: of the choice of digits, places and speeds, 0 or more.

    Raises:
        ValueError: for fewer than 2 or more than 64 frames, and a negative seed.
    """
    if not 2 <= frames <= _MOST_FRAMES:
        raise ValueError(f"frames={frames}; give 2 to {_MOST_FRAMES}")
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more")

    draw = np.random.default_rng((seed, _PARTS[part]))
    digits: Items = getattr(handwritten_digits(), part)
    assert digits.labels is not None
    chosen = torch.from_numpy(draw.integers(len(digits), size=count))
    start = draw.integers(_ROOM + 1, size=(count, 2))
    speed = draw.choice(_SPEEDS, size=(count, 2))

    return _drawn(digits.x[chosen], corners(start, speed, frames)), digits.labels[chosen]


def corners(
    start: Int64[NDArray[np.int64], "n 2"], speed: Int64[NDArray[np.int64], "n 2"], frames: int
) -> Int64[NDArray[np.int64], "n frames 2"]:
    """The row and the column of the upper left corner of the digit in each frame.

    Where there are no sides it would be at start + speed t; a side reflects what lies beyond it.

    Args:
        start: those in the first frame, 0 to 8.
        speed: pixels per frame along each axis.
        frames: how many.
    """
    free = start[:, None] + speed[:, None] * np.arange(frames)[:, None]
    around = free % (2 * _ROOM)

    return np.where(around > _ROOM, 2 * _ROOM - around, around)


def _drawn(
    digits: UInt8[Tensor, "n 1 8 8"], places: Int64[NDArray[np.int64], "n frames 2"]
) -> UInt8[Tensor, "n frames 1 side side"]:
    """The digit at its place in each frame, on 0."""
    n, frames, _ = places.shape
    x = torch.zeros(n, frames, 1, FRAME_SIDE, FRAME_SIDE, dtype=torch.uint8)

    item = torch.arange(n)[:, None, None, None]
    time = torch.arange(frames)[:, None, None]
    row, column = (torch.from_numpy(each)[..., None] for each in np.moveaxis(places, 2, 0))
    pixel = torch.arange(_DIGIT)

    x[item, time, 0, (row + pixel)[..., None], (column + pixel)[:, :, None]] = digits
    return x
