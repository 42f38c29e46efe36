"""Other lossless codes of the same items: general ones over the array, and picture formats."""

from __future__ import annotations

import bz2
import lzma
import math
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

_Bytes = NDArray[np.uint8]
GENERAL: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: zlib.compress(content, 9),
    "bz2": lambda content: bz2.compress(content, 9),
    "xz": lambda content: lzma.compress(content, preset=9 | lzma.PRESET_EXTREME),
}
FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6, "exact": True},
}


def other_codecs(items: UInt8[Tensor, "n *shape"]) -> dict[str, int]:
    """Bytes by code: gzip, bz2 and xz over the array; PNG and WebP per item, and as one sheet.

    The files of single items are counted with their headers. Picture
    formats need items of 1 or 3 channels; others are left out. Items of the two levels 0 and 1 are
    given to each code as bytes and as bits, and the smaller counts.
    """
    array: _Bytes = np.ascontiguousarray(items.numpy())
    contents = [array.tobytes()]
    if array.max(initial=0) <= 1:
        contents.append(np.packbits(array).tobytes())
    sizes = {
        name: min(len(code(content)) for content in contents) for name, code in GENERAL.items()
    }
    if array.ndim == 4 and array.shape[1] in (1, 3):
        for name, options in FORMATS.items():
            sizes[f"{name}, a file each"] = sum(_picture(item, options) for item in array)
            sizes[f"{name}, one sheet"] = _picture(_sheet(array), options)

    return sizes


def _picture(channels_first: _Bytes, options: dict[str, Any]) -> int:
    from PIL import Image

    pixels = channels_first[0] if len(channels_first) == 1 else channels_first.transpose(1, 2, 0)
    pictures = [Image.fromarray(pixels)]
    if pixels.ndim == 2 and pixels.max(initial=0) <= 1:
        pictures.append(Image.fromarray(pixels.astype(bool)))  # one bit a pixel
    sizes = []

    for picture in pictures:
        file = BytesIO()
        picture.save(file, **options)
        sizes.append(len(file.getvalue()))

    return min(sizes)


def _sheet(array: _Bytes) -> _Bytes:
    """All items in one picture, about as wide as it is high; what is left over is black."""
    n, c, h, w = array.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    cells = np.zeros((rows * columns, c, h, w), dtype=np.uint8)
    cells[:n] = array
    sheet: _Bytes = (
        cells.reshape(rows, columns, c, h, w)
        .transpose(2, 0, 3, 1, 4)
        .reshape(c, rows * h, columns * w)
    )

    return np.ascontiguousarray(sheet)
