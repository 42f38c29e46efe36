"""One PNG file per sample, in folders that `allegory.data` reads again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from ..data import DataSpec, Items
from ..files import make_folder, write_whole
from ..plots.items import is_image
from ..progress import OnProgress
from .files import KINDS

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_DIGITS = 6
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%]')
"""What a file name cannot hold on some system, and the sign that stands for it."""


def is_folder(out: str) -> bool:
    """Whether an --out is a folder for one file per sample: a slash at its end, or a name that is
    not of a file of samples.
    """
    path = Path(out)
    if out.endswith(("/", "\\")) or not path.suffix:
        return True
    return path.is_dir() and path.suffix not in KINDS


def check_folder(out: Path, spec: DataSpec, overwrite: bool) -> None:
    """Refuse a folder that pictures cannot go to.

    Args:
        out: the folder; it may be absent.
        spec: what the samples are.
        overwrite: whether pictures that are there may be replaced.

    Raises:
        ValueError: for samples that are no pictures, a path that is no folder, and one that holds
            pictures already.
    """
    if not is_image(spec.shape):
        raise ValueError(
            f"--out {str(out)!r}: samples of shape {spec.shape} are no pictures; give a file that "
            "ends in .npz or .npy (arrays)"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {str(out)!r}: a file, not a folder; give another name")
    if not overwrite and out.is_dir() and any(out.rglob("*.png")):
        raise ValueError(
            f"--out {str(out)!r}: holds pictures already; give --overwrite, which replaces those of"
            " the same seeds, or another folder"
        )


def save_pictures(
    out: Path,
    samples: Items,
    seeds: Sequence[int],
    spec: DataSpec,
    on_progress: OnProgress,
) -> None:
    """Write each sample as a PNG that is named by its seed, in a folder for each class.

    Args:
        out: the folder, made if it is absent.
        samples: in the data's own unit; without labels there are no folders of classes.
        seeds: one per sample.
        spec: range and classes of the items.
        on_progress: called as on_progress(stage, done, total).
    """
    out.mkdir(parents=True, exist_ok=True)
    names = [""] * len(samples)
    if samples.labels is not None:
        values = spec.class_values(samples.labels).tolist()
        names = [folder_name(str(value)) for value in values]
    for name in {*names} - {""}:
        make_folder(out / name)

    digits = max(_DIGITS, len(str(max(seeds))))
    for done, (pixels, seed, name) in enumerate(zip(samples.x, seeds, names, strict=True), start=1):
        write_whole(out / name / f"{seed:0{digits}}.png", _png(_bytes(pixels, spec)))
        on_progress("writing pictures", done, len(samples))


def folder_name(value: str) -> str:
    """The name of a folder for a class: its value, with %2F and so on for what no name can hold."""
    name = _UNFIT.sub(lambda found: quote(found[0], safe=""), value)
    return name.replace(".", "%2E", 1) if name.startswith(".") else name or "%"


def _bytes(pixels: Shaped[Tensor, "*shape"], spec: DataSpec) -> UInt8[Tensor, "*shape"]:
    """The range of the data as 0 to 255."""
    x = spec.encode(pixels).double()
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _png(pixels: UInt8[Tensor, "c h w"]) -> bytes:
    from PIL import Image

    channels_last = pixels.permute(1, 2, 0).contiguous().numpy()
    mode = _MODES[len(pixels)]
    file = BytesIO()
    Image.fromarray(channels_last[:, :, 0] if mode == "L" else channels_last).save(file, "PNG")
    return file.getvalue()
