"""Images from bytes and folders, decoded once, as uint8 (n, c, h, w) with 256 levels.

Grey images have one channel and all others three; one colour image among grey ones makes all of
them colour. Palettes are resolved, and grey if they hold greys only. Transparency is dropped, and
of an animation the first frame is taken. Images of more than 8 bits are refused. The 70,000 PNGs of
MNIST (28x28) take 3 to 5 seconds on one core.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from .dataset import Dataset
from .items import Items
from .spec import DataSpec
from .splits import SET_NAMES, complete, count_classes

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_GREY_MODES = ("1", "L", "LA")
_PALETTE_MODES = ("P", "PA")
_COLOUR_MODES = (*_PALETTE_MODES, "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


def image_folder(path: Path, *, size: int | None = None) -> Dataset:
    """The images in a folder; the subfolder of the root that holds an image is its class.

    Classes are numbered by name; there are none where images lie in the root itself. Folders
    `train`, `validation` and `test` are sets, with the classes below them.

    Args:
        path: the folder.
        size: crop each image to its centred square and resize it to size x size; None leaves it.

    Raises:
        ValueError: without images, for images of different sizes, or one that cannot be read.
    """
    files = {part: found for part, root in _roots(path).items() if (found := _images(root))}
    if not files:
        raise ValueError(
            f"{path}: no images ({', '.join(_SUFFIXES)}) in the folder; check the path"
        )

    names = sorted({name for found in files.values() for name in found.values() if name})
    parts = {}
    for part, found in files.items():
        labels = (
            torch.tensor([names.index(name) for name in found.values()])
            if all(found.values())
            else None
        )
        parts[part] = Items(decode_images(list(found), size), labels)

    return image_dataset(path.name, parts)


def image_dataset(name: str, parts: dict[str, Items], classes: int | None = None) -> Dataset:
    """A data set of uint8 images.

    Args:
        name: of the data set.
        parts: its sets by name; what is missing is held out of "train".
        classes: the number of classes where it is known; None counts them.
    """
    train, validation, test = complete(parts)
    counted = count_classes([train, validation, test])
    spec = DataSpec(
        tuple(train.x.shape[1:]), 0.0, 255.0, 256, counted and max(counted, classes or 0)
    )
    return Dataset(name, spec, train, validation, test)


def decode_images(
    files: Sequence[bytes | Path], size: int | None = None
) -> UInt8[Tensor, "n c h w"]:
    """Pixels of encoded images.

    Args:
        files: paths, or the bytes of files.
        size: the centred square of each is resized to size x size (bicubic); None leaves them.

    Raises:
        ValueError: for a file that cannot be read, or images of different sizes.
    """
    if size is not None and size < 1:
        raise ValueError(f"size={size}: give 1 pixel or more")

    pixels = [_pixels(file, size, number) for number, file in enumerate(files)]
    sizes = sorted({image.shape[:2] for image in pixels})
    if len(sizes) > 1:
        smallest, largest = (f"{height}x{width}" for height, width in (sizes[0], sizes[-1]))
        raise ValueError(
            f"images of different sizes, {smallest} to {largest}; "
            "add ?size=32 to crop and resize them"
        )

    if all(image.ndim == 2 for image in pixels):
        return torch.from_numpy(np.stack(pixels)[:, None])

    colour = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, 2) for image in pixels]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()


def _roots(path: Path) -> dict[str, Path]:
    """The folder of each set: the folder itself, unless there is one named `train` in it."""
    if not (path / "train").is_dir():
        return {"train": path}
    return {part: path / name for name, part in SET_NAMES.items() if (path / name).is_dir()}


def _images(root: Path) -> dict[Path, str]:
    """Each image below root, in order of name, with its class, "" for an image in root itself."""
    found = sorted(
        file for file in root.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()
    )
    places = {file: file.relative_to(root).parts for file in found}
    return {file: parts[0] if len(parts) > 1 else "" for file, parts in places.items()}


def _pixels(file: bytes | Path, size: int | None, number: int) -> NDArray[np.uint8]:
    """(h, w) for a grey image, (h, w, 3) for any other."""
    from PIL import Image

    name = f"image {number}" if isinstance(file, bytes) else str(file)

    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
            mode = _mode(opened.mode, name)
            image: Any = opened if opened.mode == mode else opened.convert(mode)
            if size is not None:
                image = _centred_square(image).resize((size, size), Image.Resampling.BICUBIC)

            pixels = np.asarray(image)
            is_grey = opened.mode in _PALETTE_MODES and bool((pixels == pixels[:, :, :1]).all())
            return pixels[:, :, 0] if is_grey else pixels
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "damaged, or not an image"
        raise ValueError(f"{name}: cannot be read ({reason}); replace or remove it") from None


def _centred_square(image: Any) -> Any:
    """The largest centred square of an image."""
    width, height = image.size
    side = min(width, height)
    left = (width - side) // 2
    top = (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _mode(mode: str, name: str) -> str:
    """L or RGB for the mode of an image. ValueError for one of more than 8 bits."""
    if mode in _GREY_MODES:
        return "L"
    if mode in _COLOUR_MODES:
        return "RGB"
    raise ValueError(
        f"{name}: pixels of kind {mode}, not 8 bits; convert it, or save a float array as .npy"
    )
