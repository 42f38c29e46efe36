"""Pictures and masks that a command is given: files, folders of them, or arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

from ..data import DataSpec
from ..data.array_files import read_arrays
from ..data.encoded import Encoded, header
from ..data.folders import files_below
from ..data.pixels import decode_images
from ..lookup import printable
from ..plots.items import is_image
from . import tables

_ARRAYS = (".npy", ".npz")
_BYTE = 255.0
_SMALL_SPAN = 0.02
"""Of the range of the data: arrays that span less are probably in another unit, as are those that
go beyond it by more than its width."""


@dataclass(frozen=True, eq=False)
class InputPictures:
    """Pictures in the data's own unit.

    Args:
        x: (n, c, h, w).
        names: of each, without suffix.
        option: where they were given, for messages.
    """

    x: Float64[Tensor, "n c h w"]
    names: tuple[str, ...]
    option: str

    def check(self, shape: Sequence[int], remedy: str = "") -> InputPictures:
        """These pictures with the channels of a `shape`: a grey one may stand for a colour one.

        ValueError, with the `remedy`, for other pictures than those of the shape.
        """
        channels = shape[0]
        if self.x.shape[1] == 1 and channels == 3:
            return InputPictures(self.x.expand(-1, 3, -1, -1), self.names, self.option).check(shape)
        if tuple(self.x.shape[1:]) != tuple(shape):
            raise ValueError(
                f"{self.option}: {in_words(self.x.shape[1:])}; give {in_words(shape)}{remedy}"
            )
        return self


def in_words(shape: Sequence[int]) -> str:
    """A `shape` (c, h, w) in words, such as "a grey picture of 28x28 pixels"."""
    kinds = {1: "a grey picture", 3: "a colour picture", 4: "a colour picture with transparency"}
    kind = kinds.get(shape[0], f"a picture of {shape[0]} channels")
    return f"{kind} of {shape[1]}x{shape[2]} pixels"


def read_pictures(
    option: str, given: Sequence[str], spec: DataSpec, size: int | None = None
) -> InputPictures:
    """The pictures of an option, one after another.

    Bytes are mapped to the range of the data, 0 to its low and 255 to its high end; arrays are in
    the data's own unit.

    Args:
        option: of the command line, such as "--input".
        given: files, or folders of pictures.
        spec: of the items.
        size: the centred square of each file is resized to size x size; None leaves it.

    Raises:
        ValueError: for a run whose items are no pictures, and what cannot be read.
    """
    if not is_image(spec.shape):
        raise ValueError(
            f"{option}: the items of this run, of shape {spec.shape}, are no pictures; in Python, "
            "inverse.Posterior takes measurements of any items"
        )
    low, high = spec.ends()
    if low.ndim:
        raise ValueError(
            f"{option}: the numbers of this run's items have a range each, and pictures have one; "
            "in Python, inverse.Posterior takes measurements of any items"
        )

    def scaled(pixels: Tensor) -> Tensor:
        return low + pixels.double() / _BYTE * (high - low)

    keeps_alpha = spec.shape[0] == 4
    parts = [
        _read(option, text, scaled, _Format(spec.shape[0], size, keeps_alpha)) for text in given
    ]
    names = [name for _, some in parts for name in some]
    shapes = {tuple(x.shape[1:]) for x, _ in parts}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise ValueError(
            f"{option}: {in_words(first)} and {in_words(second)}; give pictures of one kind"
        )

    x = torch.cat([x for x, _ in parts])
    _note_unit(option, x, float(low), float(high))
    return InputPictures(x, tuple(names), f"{option} {printable(given[0])}")


def read_mask(option: str, text: str) -> Bool[Tensor, "n h w"]:
    """The missing pixels of pictures: white, or non-zero in an array.

    Args:
        option: of the command line.
        text: a picture, a folder of them, or an array.

    Raises:
        ValueError: for what cannot be read.
    """
    x, _ = _read(option, text, lambda pixels: pixels.double() / _BYTE, _Format(1, None, False))
    is_array = Path(text).suffix in _ARRAYS
    return (x != 0).any(1) if is_array else x.mean(1) >= 0.5


@dataclass(frozen=True)
class _Format:
    """How files are read: channels of arrays, size of pictures, and what becomes of alpha."""

    channels: int
    size: int | None
    keeps_alpha: bool


def _read(
    option: str, text: str, scaled: Callable[[Tensor], Tensor], wanted: _Format
) -> tuple[Float64[Tensor, "n c h w"], list[str]]:
    """The pictures of one argument, and their names."""
    if not text:
        raise ValueError(f"{option}: an empty name; give a picture, a folder or an array")
    path = Path(text).expanduser()
    shown = f"{option} {printable(text)}"
    if not path.exists():
        raise ValueError(f"{shown}: no such file; check the path")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{shown}: no regular file; give a picture, a folder or an array")
    if path.suffix in _ARRAYS:
        x = _array(shown, path, wanted.channels)
        return x, [f"{path.stem}-{i:04}" for i in range(len(x))] if len(x) > 1 else [path.stem]

    files = [*files_below(path).files] if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{shown}: no pictures in the folder; give one that holds some")
    images = [Encoded(f"{option} {file}", file) for file in files]
    if wanted.size is None:
        sizes = {header(image)[:2] for image in images}
        if len(sizes) > 1:
            (h, w), (h2, w2) = min(sizes), max(sizes)
            raise ValueError(f"{shown}: pictures of {h}x{w} and {h2}x{w2}; give them in one size")

    decoded = decode_images(images, wanted.size, "keep" if wanted.keeps_alpha else "drop")
    if decoded.transparent and not wanted.keeps_alpha:
        tables.remark(f"{shown}: has transparent pixels; the transparency is left out")
    return scaled(decoded.x), [file.stem for file in files]


def _array(shown: str, path: Path, channels: int) -> Float64[Tensor, "n c h w"]:
    """The pictures of an array file: (h, w), (c, h, w), (n, h, w) or (n, c, h, w)."""
    arrays = read_arrays(path)
    if "x" not in arrays:
        raise ValueError(f"{shown}: arrays {', '.join(sorted(arrays))}; name the one to take x")

    array: Any = arrays["x"]
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"{shown}: {array.dtype} of shape {array.shape}; give numbers, (n, channels, height, "
            "width)"
        )
    x = torch.from_numpy(np.asarray(array, dtype=np.float64))
    if not bool(x.isfinite().all()):
        raise ValueError(f"{shown}: holds NaN or infinite numbers; give finite ones")

    if x.ndim == 2:
        return x[None, None]
    if x.ndim == 4:
        return x
    return x[None] if len(x) in (1, channels) and channels > 1 else x[:, None]


def _note_unit(option: str, x: Shaped[Tensor, "n c h w"], low: float, high: float) -> None:
    """Say that pictures are probably in another unit than the data."""
    span, width = float(x.max() - x.min()), high - low
    is_beyond = float(x.max()) > high + width or float(x.min()) < low - width
    if is_beyond or 0 < span < _SMALL_SPAN * width:
        tables.remark(
            f"{option}: numbers from {float(x.min()):g} to {float(x.max()):g}, and the data are "
            f"from {low:g} to {high:g}; arrays are taken in the data's own unit"
        )
