"""Pictures of coloured, placed and scaled digits with captions, made from the bundled digits.

One 8x8 digit is enlarged, coloured and put on a black picture of 24x24 pixels. Its caption names
its size, colour, digit and place, such as "a small red seven at the top left". Training, validation
and test pictures are made of different digits, so a digit of a test picture was never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ..conditions import EncodedText, Text
from .bundled import handwritten_digits
from .dataset import Dataset
from .items import Items
from .spec import DataSpec

SIDE = 24
"""Height and width of a picture."""

COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 0.85, 0.1),
    "blue": (0.2, 0.3, 1.0),
    "yellow": (1.0, 0.9, 0.1),
    "purple": (0.8, 0.15, 0.9),
    "white": (1.0, 1.0, 1.0),
}
"""The colours, as red, green and blue from 0 to 1."""

SIZES = {"small": (8, 9), "large": (12, 13, 14)}
"""The sides of a digit of each size, in pixels."""

PLACES = {
    "top left": (0, 0),
    "top right": (0, 2),
    "centre": (1, 1),
    "bottom left": (2, 0),
    "bottom right": (2, 2),
}
"""The places, as thirds of the picture from the top and from the left."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_OTHER_WORDS = {"small": "little", "large": "big"}
_FORMS = (
    "a {size} {colour} {digit} {at} the {place}",
    "{at} the {place}, a {size} {colour} {digit}",
    "a {colour} {digit}, {size}, {at} the {place}",
    "{colour} {digit} {at} the {place}, {size}",
)
_COUNTS = {"train": 20_000, "validation": 1_000, "test": 2_000}
_SEEDS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True, eq=False)
class Attributes:
    """What is on each picture, as indices.

    Args:
        size: of `SIZES`, (n,).
        colour: of `COLOURS`, (n,).
        digit: of `DIGITS`, (n,).
        place: of `PLACES`, (n,).
    """

    size: Int64[NDArray[np.int64], " n"]
    colour: Int64[NDArray[np.int64], " n"]
    digit: Int64[NDArray[np.int64], " n"]
    place: Int64[NDArray[np.int64], " n"]


def captioned_digits(*, count: int = _COUNTS["train"], encoder: str | None = None) -> Dataset:
    """Pictures of coloured, placed and scaled digits with captions; 1,000 validation, 2,000 test.

    Args:
        count: the number of training pictures.
        encoder: of the captions, a folder or a name at huggingface.co; None means words.

    Raises:
        ValueError: for fewer than 100, or more than 1,000,000, and no encoder.
    """
    if not 100 <= count <= 1_000_000:
        raise ValueError(f"count={count}; give 100 to 1,000,000 training pictures")

    made = {part: captioned(part, number) for part, number in (_COUNTS | {"train": count}).items()}
    kind = Text.of(made["train"][1]) if encoder is None else EncodedText.of(encoder)
    sets = {
        part: Items(x, torch.from_numpy(what.digit), condition=kind.encode(texts))
        for part, (x, texts, what) in made.items()
    }

    spec = DataSpec((3, SIDE, SIDE), 0.0, 255.0, 256, classes=10, condition=kind)
    return Dataset("captions", spec, sets["train"], sets["validation"], sets["test"])


def captioned(
    part: str, count: int
) -> tuple[UInt8[Tensor, "n 3 side side"], list[str], Attributes]:
    """Pictures, their captions, and what is on them, the same at each call.

    Args:
        part: "train", "validation" or "test"; each has digits of its own.
        count: how many.
    """
    draw = np.random.default_rng((20_26, _SEEDS[part]))
    glyphs: Items = getattr(handwritten_digits(), part)
    assert glyphs.labels is not None
    chosen = draw.integers(len(glyphs), size=count)
    what = Attributes(
        draw.integers(len(SIZES), size=count),
        draw.integers(len(COLOURS), size=count),
        glyphs.labels.numpy()[chosen],
        draw.integers(len(PLACES), size=count),
    )

    placed = _placed(glyphs.x[torch.from_numpy(chosen)].float() / 16.0, what, draw)
    colour = _colours(what, draw)
    x = (255.0 * placed[:, None] * colour[:, :, None, None]).round().to(torch.uint8)
    return x, _captions(what, draw), what


def _placed(
    glyphs: Float32[Tensor, "n 1 8 8"], what: Attributes, draw: np.random.Generator
) -> Float32[Tensor, "n side side"]:
    """The digits in their size, at their place, on black."""
    least, most = np.array([(min(each), max(each)) for each in SIZES.values()])[what.size].T
    sides = draw.integers(least, most + 1)
    thirds = np.array(tuple(PLACES.values()))[what.place]
    corners = _corners(sides, thirds, draw)

    placed = torch.zeros(len(glyphs), SIDE, SIDE)
    for side in np.unique(sides):
        own = np.flatnonzero(sides == side)
        size = (int(side), int(side))
        scaled = interpolate(glyphs[torch.from_numpy(own)], size, mode="bilinear")
        for item, digit in zip(own, scaled[:, 0], strict=True):
            top, left = corners[item]
            placed[item, top : top + side, left : left + side] = digit

    return placed


def _corners(
    sides: NDArray[np.int64], thirds: NDArray[np.int64], draw: np.random.Generator
) -> NDArray[np.int64]:
    """The upper left corner of each digit, anywhere within its place."""
    room = (SIDE - sides)[:, None]
    slack = np.where(sides[:, None] < 12, 3, 1)
    jitter = draw.integers(0, slack + 1, size=thirds.shape)
    offset = np.where(thirds == 1, room // 2 + jitter // 2 - 1, 0)
    offset = np.where(thirds == 0, jitter, offset)
    return np.where(thirds == 2, room - jitter, offset)


def _colours(what: Attributes, draw: np.random.Generator) -> Float32[Tensor, "n 3"]:
    """The colour of each digit: that of its name, a little off."""
    base = np.array(tuple(COLOURS.values()))[what.colour]
    off = base + draw.uniform(-0.08, 0.08, size=base.shape)
    bright = draw.uniform(0.8, 1.0, size=(len(base), 1))
    return torch.from_numpy((bright * off).clip(0, 1).astype(np.float32))


def _captions(what: Attributes, draw: np.random.Generator) -> list[str]:
    """A caption for each picture, in one of several forms."""
    sizes, colours, places = (tuple(each) for each in (SIZES, COLOURS, PLACES))
    forms = draw.integers(len(_FORMS), size=len(what.size))
    others = draw.random(len(what.size)) < 0.3

    captions = []
    for i, form in enumerate(forms):
        size, place = sizes[what.size[i]], places[what.place[i]]
        words = {
            "size": _OTHER_WORDS[size] if others[i] else size,
            "colour": colours[what.colour[i]],
            "digit": DIGITS[what.digit[i]],
            "place": place,
            "at": "in" if place == "centre" else "at",
        }
        captions.append(_FORMS[form].format(**words))

    return captions
