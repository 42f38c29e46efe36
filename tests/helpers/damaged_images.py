"""Damaged images for tests of the reader: bytes of good ones changed, cut, moved and repeated."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

_EXTREME = (0, 1, 0x7F, 0x80, 0xFF)


def good_images(seed: int = 0) -> dict[str, bytes]:
    """A small image of each kind that is read, by name."""
    random = np.random.default_rng(seed)
    colours = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[274] = 6

    kinds = {
        "grey.png": (colours.convert("L"), {"exif": exif}),
        "palette.png": (colours.convert("P"), {}),
        "alpha.png": (colours.convert("RGBA"), {}),
        "colour.jpg": (colours, {"exif": exif}),
        "progressive.jpg": (colours, {"progressive": True}),
        "colour.gif": (colours, {}),
        "colour.tif": (colours, {}),
        "packed.tif": (colours, {"compression": "tiff_lzw"}),
        "lossy.webp": (colours, {}),
        "lossless.webp": (colours, {"lossless": True, "exif": exif}),
        "colour.bmp": (colours, {}),
    }
    return {name: _saved(image, name, options) for name, (image, options) in kinds.items()}


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """The bytes with one to four changes, most of them near the start, where headers are."""
    found = bytearray(content)
    for _ in range(random.integers(1, 5)):
        place = int(len(found) * random.random() ** 3)
        kind = random.integers(5)
        if kind == 0:
            found[place : place + 1] = random.bytes(1)
        elif kind == 1:
            found[place : place + 4] = bytes([random.choice(_EXTREME)]) * 4
        elif kind == 2:
            del found[place : place + int(random.integers(1, 9))]
        elif kind == 3:
            found[place:place] = found[place : place + int(random.integers(1, 30))]
        else:
            del found[max(1, int(len(found) * random.random())) :]
    return bytes(found)


def damaged_images(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many damaged images with their names.

    Args:
        count: how many.
        seed: of the damage.
    """
    random = np.random.default_rng(seed)
    good = good_images(seed)
    names = list(good)
    for number in range(count):
        name = names[number % len(names)]
        yield name, damaged(good[name], random)


def _saved(image: Image.Image, name: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.rpartition(".")[2].upper())
    image.save(buffer, kind, **options)
    return buffer.getvalue()
