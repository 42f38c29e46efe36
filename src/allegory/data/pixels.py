"""Pixels of encoded images: uint8 (n, c, h, w), decoded once, all of one size.

An image is turned as its EXIF orientation says, as viewers do; of an animation or a TIFF of several
pages the first is taken. Grey images have one channel and all others three; one colour image among
grey ones makes all of them colour. Palettes are resolved, and grey if they hold greys only.
Transparency is dropped, or kept as a fourth channel. Images of more than 8 bits are refused.

What an image declares is read from the headers of all images before the first is decoded: sizes
that differ, or that take more memory than there is, are refused from headers alone.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from .encoded import (
    GREY_MODES,
    PALETTE_MODES,
    Encoded,
    EncodedImages,
    header,
    load_turned,
    opened_image,
)
from .memory import check_memory

ALPHA = ("drop", "keep")
"""What becomes of transparency: dropped, or kept as a fourth channel."""

_REDUCING = 2  # A JPEG is decoded at twice the wanted size or more.


@dataclass(frozen=True, eq=False)
class Decoded:
    """What was decoded.

    Args:
        x: the pixels, (n, c, h, w).
        transparent: how many images have pixels that are not opaque.
    """

    x: UInt8[Tensor, "n c h w"]
    transparent: int


def decode_images(images: EncodedImages, size: int | None = None, alpha: str = "drop") -> Decoded:
    """Pixels of encoded images; they are gone through twice, for the headers and for the pixels.

    Args:
        images: paths or bytes, with their names.
        size: the centred square of each is resized to size x size (bicubic); None leaves them.
        alpha: "drop" leaves transparency out; "keep" makes four channels of every image.

    Raises:
        ValueError: for a file that cannot be read, images of different sizes, or more than fit into
            memory.
    """
    if size is not None and size < 1:
        raise ValueError(f"size={size}: give 1 pixel or more")
    if len(images) == 0:
        raise ValueError("x: no items; give at least one in every set")
    if alpha not in ALPHA:
        raise ValueError(f"alpha={alpha!r}: give {' or '.join(ALPHA)}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damage that it repairs
        shape = _common_shape(images, size, alpha)
        pixels = np.zeros((len(images), *shape), np.uint8)
        is_grey = True
        transparent = 0

        for place, image in enumerate(images):
            found, is_transparent = _pixels(image, size, alpha)
            if found.shape[:2] != shape[1:]:
                raise _different_sizes({found.shape[:2], shape[1:]})
            is_grey = is_grey and found.ndim == 2
            transparent += is_transparent
            pixels[place] = found if found.ndim == 2 else found.transpose(2, 0, 1)

    return Decoded(torch.from_numpy(pixels[:, :1].copy() if is_grey else pixels), transparent)


def _common_shape(images: EncodedImages, size: int | None, alpha: str) -> tuple[int, int, int]:
    """(c, h, w) of all images, from their headers. ValueError where they do not fit together."""
    sizes: set[tuple[int, ...]] = set()
    channels = 4 if alpha == "keep" else 1
    for image in images:
        found = header(image)
        channels = max(channels, found.channels)
        is_first = not sizes
        sizes.add((found.height, found.width) if size is None else (size, size))
        if is_first:
            _check_size(len(images), (channels, *next(iter(sizes))), size)

    if len(sizes) > 1:
        raise _different_sizes(sizes)
    height, width = next(iter(sizes))
    _check_size(len(images), (channels, height, width), size)
    return channels, height, width


def _check_size(count: int, shape: tuple[int, ...], size: int | None) -> None:
    """Refuse so many images of a shape that they do not fit into memory."""
    each = "x".join(str(number) if number < 10**9 else f"{number:.0e}" for number in shape)
    check_memory(
        count * math.prod(shape),
        f"{count} images of {each}",
        "add ?size=32 to crop and resize them" if size is None else "give a smaller ?size",
    )


def _different_sizes(sizes: set[tuple[int, ...]]) -> ValueError:
    smallest, largest = (f"{found[0]}x{found[1]}" for found in (min(sizes), max(sizes)))
    shortest = min(min(found[:2]) for found in sizes)
    side = max([side for side in (16, 32) if side <= shortest], default=8)
    return ValueError(
        f"images of different sizes, {smallest} to {largest}; add ?size={side} to crop and resize "
        "them"
    )


def _pixels(image: Encoded, size: int | None, alpha: str) -> tuple[NDArray[np.uint8], bool]:
    """(h, w) for a grey image, (h, w, 3 or 4) for others; and whether a pixel is not opaque."""
    from PIL import Image

    with opened_image(image) as opened:
        if size is not None:
            opened.draft(None, (_REDUCING * size, _REDUCING * size))
        load_turned(opened)

        square: Any = opened if size is None else _centred_square(opened)
        is_transparent = square.has_transparency_data and _opacity(square) < 255
        mode = "RGBA" if alpha == "keep" else "L" if opened.mode in GREY_MODES else "RGB"
        shown = square if square.mode == mode else square.convert(mode)
        if size is not None:
            shown = shown.resize((size, size), Image.Resampling.BICUBIC)

        pixels = np.asarray(shown)
        has_palette = opened.mode in PALETTE_MODES and mode == "RGB"
        is_grey = has_palette and bool((pixels == pixels[:, :, :1]).all())
        return pixels[:, :, 0] if is_grey else pixels, is_transparent


def _opacity(image: Any) -> int:
    """The least opacity of a pixel, 0 to 255."""
    whole = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    least: int = whole.getchannel("A").getextrema()[0]
    return least


def _centred_square(image: Any) -> Any:
    """The largest centred square of an image."""
    width, height = image.size
    side = min(width, height)
    if width == height:
        return image
    left = (width - side) // 2
    top = (height - side) // 2
    return image.crop((left, top, left + side, top + side))
