"""One file per sample, PNG or text, in folders that `allegory.data` reads again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from ..data import DataSpec, Items
from ..data.text_output import item_texts
from ..files import make_folder, write_whole
from ..plots.items import is_image
from ..progress import OnProgress
from .files import ALL_KINDS, kinds_of

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
    return path.is_dir() and path.suffix not in ALL_KINDS


def check_folder(out: Path, spec: DataSpec, overwrite: bool) -> None:
    """Refuse a folder that samples cannot go to.

    Args:
        out: the folder; it may be absent.
        spec: what the samples are.
        overwrite: whether files that are there may be replaced.

    Raises:
        ValueError: for samples that are no pictures and no text, a path that is no folder, and one
            that holds such files already.
    """
    suffix = kinds_of(spec)[0]
    if suffix != ".txt" and not is_image(spec.shape):
        best = ".csv (a table), " if suffix == ".csv" else ""
        raise ValueError(
            f"--out {str(out)!r}: samples of shape {spec.shape} are no pictures; give a file that "
            f"ends in {best}.npz or .npy (arrays)"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {str(out)!r}: a file, not a folder; give another name")
    if not overwrite and out.is_dir() and any(out.rglob(f"*{suffix}")):
        what = "texts" if suffix == ".txt" else "pictures"
        raise ValueError(
            f"--out {str(out)!r}: holds {what} already; give --overwrite, which replaces those of"
            " the same seeds, or another folder"
        )


def save_each(
    out: Path,
    samples: Items,
    seeds: Sequence[int],
    spec: DataSpec,
    on_progress: OnProgress,
) -> None:
    """Write each sample as a PNG or .txt that is named by its seed, in a folder for each class.

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
    suffix = ".txt" if kinds_of(spec)[0] == ".txt" else ".png"
    contents = zip(_contents(samples, spec), seeds, names, strict=True)
    for done, (content, seed, name) in enumerate(contents, start=1):
        write_whole(out / name / f"{seed:0{digits}}{suffix}", content)
        on_progress("writing files", done, len(samples))


def folder_name(value: str) -> str:
    """The name of a folder for a class: its value, with %2F and so on for what no name can hold."""
    name = _UNFIT.sub(lambda found: quote(found[0], safe=""), value)
    return name.replace(".", "%2E", 1) if name.startswith(".") else name or "%"


def _contents(samples: Items, spec: DataSpec) -> Iterator[bytes]:
    """The file of each sample: its text, or a PNG."""
    if kinds_of(spec)[0] == ".txt":
        for text in item_texts(samples, spec):
            yield text.encode()
        return
    for pixels in samples.x:
        yield _png(_bytes(pixels, spec))


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
