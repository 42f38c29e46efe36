"""Encoded images: what their headers say, and opening them so that damage is one ValueError."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..lookup import printable

MOST_PIXELS = 2**30 // 12
"""The most pixels of one image, the limit above which Pillow warns of a decompression bomb."""

GREY_MODES = ("1", "L", "LA")
PALETTE_MODES = ("P", "PA")
COLOUR_MODES = (*PALETTE_MODES, "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_ORIENTATION = 274  # These three are numbers of tags.
_TIFF_WIDTH = 256
_TIFF_HEIGHT = 257
_TURNED_ON_ITS_SIDE = (5, 6, 7, 8)
_STDERR = 2
_QUIET = logging.NullHandler()


class Encoded(NamedTuple):
    """An image as it was found.

    Args:
        name: what messages call it.
        content: the bytes of a file, or the path of one.
    """

    name: str
    content: bytes | Path


@runtime_checkable
class EncodedImages(Protocol):
    """Images that can be gone through several times, a list of them or what reads them anew."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __iter__(self) -> Iterator[Encoded]:
        """Each image with its name."""
        ...


class Header(NamedTuple):
    """What the header of an image says.

    Args:
        height: of the image as it is shown.
        width: of the image as it is shown.
        channels: 1 for grey, 3 for all others.
    """

    height: int
    width: int
    channels: int


def header(image: Encoded) -> Header:
    """Size and channels of an image as it is shown; nothing is decoded."""
    with opened_image(image) as opened:
        width, height = opened.size
        if opened.format == "TIFF":  # Some versions of Pillow turn its size, and others do not.
            width, height = opened.tag_v2[_TIFF_WIDTH], opened.tag_v2[_TIFF_HEIGHT]
        if _is_on_its_side(opened):
            width, height = height, width
        return Header(height, width, 1 if opened.mode in GREY_MODES else 3)


class _Refused(Exception):
    """An image that can be read and is not taken, with the remedy."""


@contextmanager
def opened_image(image: Encoded) -> Iterator[Any]:
    """The image with its header read and checked; what a decoder raises becomes one ValueError."""
    from PIL import Image

    name, content = image
    logging.getLogger("PIL").addHandler(_QUIET)  # Else it prints what it logs of damage.

    try:
        source: Any = io.BytesIO(content) if isinstance(content, bytes) else content
        with Image.open(source, formats=_FORMATS) as opened:
            _check_header(opened)
            yield opened
    except _Refused as refused:
        raise ValueError(f"{printable(name)}: {refused}") from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"{printable(name)}: more than {MOST_PIXELS:,} pixels; make it smaller"
        ) from None
    except Exception as error:  # Decoders of damaged bytes raise whatever they meet.
        reason = (isinstance(error, OSError) and error.strerror) or "damaged, or not an image"
        raise ValueError(
            f"{printable(name)}: cannot be read ({reason}); replace or remove it"
        ) from None


def load_turned(opened: Any) -> None:
    """Decode an image and turn it as its EXIF says; EXIF that cannot be read is left out."""
    from PIL import ImageOps

    with _silent() if opened.format == "TIFF" else nullcontext():
        opened.load()
    with suppress(Exception):
        ImageOps.exif_transpose(opened, in_place=True)


def _check_header(opened: Any) -> None:
    """Refuse an image of too many pixels or bits."""
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise _Refused(f"{height}x{width}, more than {MOST_PIXELS:,} pixels; make it smaller")

    # Pillow opens colours of 16 bits as modes of 8; the layout of the file tells.
    layouts = [str(tile[3]) for tile in opened.tile] if opened.format in ("PNG", "TIFF") else []
    has_16_bits = any(";16" in layout for layout in layouts)
    if has_16_bits or opened.mode not in (*GREY_MODES, *COLOUR_MODES):
        kind = "of 16 bits" if has_16_bits else f"of kind {opened.mode}"
        raise _Refused(
            f"pixels {kind}, not 8 bits; convert it to 8 bits, or save a float array as .npy"
        )


def _is_on_its_side(opened: Any) -> bool:
    """Whether its orientation exchanges height and width."""
    if opened.format == "PNG" and "exif" not in opened.info:
        return False  # Pillow would decode it to look further.
    with suppress(Exception):  # EXIF that cannot be read is left out, as viewers do.
        tags = opened.tag_v2 if opened.format == "TIFF" else opened.getexif()
        return tags.get(_ORIENTATION) in _TURNED_ON_ITS_SIDE
    return False


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what libtiff prints about damage off standard error."""
    try:
        copy = os.dup(_STDERR)
    except OSError:  # There is no standard error.
        yield
        return

    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(copy, _STDERR)
        os.close(copy)
