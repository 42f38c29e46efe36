"""Images from bytes and folders, decoded once and kept as uint8 (N, C, H, W), 256 levels.

Grey images have one channel and all others three; one colour image among grey ones makes them all
colour. Palettes are resolved, and grey if all that they show is; transparency is dropped; of an
animation the first frame counts. Images of more than 8 bits are refused, not cut. The 70,000 PNGs
of MNIST (28x28) take 3 to 5 seconds on one core.
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

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
GREY, PALETTE = ("1", "L", "LA"), ("P", "PA")
COLOUR = (*PALETTE, "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


def image_folder(path: Path, *, size: int | None = None) -> Dataset:
    """The images below a folder; the folder in which an image lies, first below the root, is its class.

    Classes are numbered by name. Where images lie right in the root there are none. Folders
    `train`, `validation`, `test` are sets, with the classes below them. ValueError without images,
    or for images of different sizes.
    """
    files = {part: found for part, root in _roots(path).items() if (found := _images(root))}
    if not files:
        raise ValueError(f"{path}: no images ({', '.join(SUFFIXES)}) in the folder; check the path")
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
    """A data set of uint8 images; the number of classes is counted where it is not known."""
    train, validation, test = complete(parts)
    counted = count_classes([train, validation, test])
    spec = DataSpec(
        tuple(train.x.shape[1:]), 0.0, 255.0, 256, counted and max(counted, classes or 0)
    )
    return Dataset(name, spec, train, validation, test)


def decode_images(
    files: Sequence[bytes | Path], size: int | None = None
) -> UInt8[Tensor, "n c h w"]:
    """Pixels of encoded images; with `size`, the centred square of each, resized to size x size (bicubic)."""
    if size is not None and size < 1:
        raise ValueError(f"size={size}: give 1 pixel or more")
    pixels = [_pixels(file, size, number) for number, file in enumerate(files)]
    sizes = sorted({picture.shape[:2] for picture in pixels})
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sizes[0], sizes[-1]
        raise ValueError(
            f"images of different sizes, {h1}x{w1} to {h2}x{w2}; add ?size=32 to crop and resize them"
        )
    if {picture.ndim for picture in pixels} == {2}:
        return torch.from_numpy(np.stack(pixels)[:, None])
    colour = [
        picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, 2) for picture in pixels
    ]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()


def _roots(path: Path) -> dict[str, Path]:
    """The folder of each set: the folder itself, or those below it named as sets, if `train` is one."""
    if not (path / "train").is_dir():
        return {"train": path}
    return {part: path / name for name, part in SET_NAMES.items() if (path / name).is_dir()}


def _images(root: Path) -> dict[Path, str]:
    """Each image below root, in order of name, with its class, which is empty for an image right in root."""
    found = sorted(
        file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    places = {file: file.relative_to(root).parts for file in found}
    return {file: parts[0] if len(parts) > 1 else "" for file, parts in places.items()}


def _pixels(file: bytes | Path, size: int | None, number: int) -> NDArray[np.uint8]:
    """(H, W) for a grey image, (H, W, 3) for any other."""
    from PIL import Image

    name = f"image {number}" if isinstance(file, bytes) else str(file)
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            mode = _mode(image.mode, name)
            picture: Any = image if image.mode == mode else image.convert(mode)
            if size is not None:
                picture = _square(picture).resize((size, size), Image.Resampling.BICUBIC)
            pixels = np.asarray(picture)
            palette_of_greys = image.mode in PALETTE and bool((pixels == pixels[:, :, :1]).all())
            return pixels[:, :, 0] if palette_of_greys else pixels
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "damaged, or not an image"
        raise ValueError(f"{name}: cannot be read ({reason}); replace or remove it") from None


def _square(picture: Any) -> Any:
    """The largest centred square."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _mode(mode: str, name: str) -> str:
    if mode in GREY:
        return "L"
    if mode in COLOUR:
        return "RGB"
    raise ValueError(
        f"{name}: pixels of kind {mode}, not 8 bits; convert it, or save a float array as .npy"
    )
