"""Image folders, as uint8 (n, c, h, w) with 256 levels (`pixels.py` says how images are decoded).

The subfolder of the root that holds an image is its class. Folders `train`, `validation` and `test`
are sets, with the classes below them. Hidden files and files of other kinds are skipped, which the
notes of the data set say. The 70,000 PNGs of MNIST (28x28) take about 5 seconds on one core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..conditions.classes import ClassName, are_counted, untrained
from ..lookup import printable
from .condition_values import ConditionValues, condition_values, with_conditions
from .dataset import Dataset
from .encoded import Encoded
from .folders import Found, files_below, set_folders, skipped
from .image_metadata import METADATA, image_columns
from .items import Items
from .pixels import decode_images
from .spec import DataSpec
from .splits import complete, mixed

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_MOST_NAMES = 10  # in one message

Images = dict[Path, str]
"""Images with the class of each, "" for an image in the root itself."""


def image_folder(
    path: Path, *, size: int | None = None, alpha: str = "drop", condition: str | None = None
) -> Dataset:
    """The images in a folder; the subfolder of the root that holds an image is its class.

    Classes are those of the training images, in order of name; there are none where images lie in
    the root itself.

    Args:
        path: the folder.
        size: crop each image to its centred square and resize it to size x size; None leaves it.
        alpha: "drop" leaves transparency out; "keep" makes four channels of every image.
        condition: columns of metadata.jsonl or metadata.csv in the folder of each set that are the
            condition, with commas between them (`image_metadata.py`); None for none.

    Raises:
        ValueError: without images, for images of different sizes or one that cannot be read, and
            for a class that has no training images.
    """
    found = files_below(path)
    roots = set_folders(path)
    sets = {part: _images(found, root) for part, root in roots.items()}
    files = {part: images for part, images in sets.items() if images}
    if not files:
        what = "; ".join(["check the path", *_others(found)])
        raise ValueError(
            f"{printable(path)}: no images ({', '.join(_SUFFIXES)}) in the folder; {what}"
        )

    names = _class_names(path, files)
    values = _conditions(path, roots, files, condition)
    encoded = [Encoded(str(file), file) for images in files.values() for file in images]
    decoded = decode_images(encoded, size, alpha)

    labels = {
        part: torch.tensor([names.index(name) for name in images.values()]) if names else None
        for part, images in files.items()
    }
    counts = {part: len(images) for part, images in files.items()}
    known = _without_metadata(found) if condition else found
    notes = [*_notes(path, known, roots, sets), *transparency_note(decoded.transparent, alpha)]
    own = sets_of(decoded.x, counts, labels)
    # Folders are sorted by class, and the first items should be of all of them.
    own = {part: items if part == "train" else mixed(items) for part, items in own.items()}
    return image_dataset(path.resolve().name, own, names, notes, values)


def image_dataset(
    name: str,
    parts: Mapping[str, Items],
    class_names: Sequence[ClassName] | None = None,
    notes: Sequence[str] = (),
    conditions: Mapping[str, ConditionValues | None] | None = None,
) -> Dataset:
    """A data set of uint8 images.

    Args:
        name: of the data set.
        parts: its sets by name; what is missing is held out of "train".
        class_names: values of the classes by index; None without labels.
        notes: what was skipped, and why.
        conditions: the values of the conditions of each set; None for none.
    """
    sets, kind = with_conditions(complete(parts), conditions or {})
    train, validation, test = sets
    classes = None if class_names is None else len(class_names)
    named = None if class_names is None or are_counted(tuple(class_names)) else tuple(class_names)

    spec = DataSpec(tuple(train.x.shape[1:]), 0.0, 255.0, 256, classes, named, condition=kind)
    notes = (*notes, *untrained(train.labels, spec.class_names, spec.classes))
    return Dataset(name, spec, train, validation, test, notes=notes, conditions=conditions)


def sets_of(
    x: UInt8[Tensor, "n *shape"],
    counts: Mapping[str, int],
    labels: Mapping[str, Int64[Tensor, " m"] | None],
) -> dict[str, Items]:
    """The sets of images that were decoded together.

    Args:
        x: all images, one set after the other.
        counts: how many images each set has.
        labels: the labels of each set, or None.
    """
    pieces = x.split(list(counts.values()))
    return {part: Items(piece, labels[part]) for part, piece in zip(counts, pieces, strict=True)}


def transparency_note(transparent: int, alpha: str) -> list[str]:
    """A sentence where transparency was dropped.

    Args:
        transparent: how many images have pixels that are not opaque.
        alpha: "drop" or "keep".
    """
    if transparent == 0 or alpha == "keep":
        return []
    subject = "1 image has" if transparent == 1 else f"{transparent} images have"
    return [f"{subject} transparent pixels: transparency was dropped; keep it with ?alpha=keep"]


def _conditions(
    path: Path,
    roots: Mapping[str, Path],
    files: Mapping[str, Images],
    condition: str | None,
) -> dict[str, ConditionValues | None]:
    """The values of the columns of ?condition, of each set."""
    if condition is None:
        return {}

    names = [unquote(name) for name in condition.split(",")]
    found: dict[str, ConditionValues | None] = {}
    for part, images in files.items():
        try:
            columns = image_columns(roots[part], [*images], names)
            found[part] = condition_values(columns, len(images))
        except ValueError as error:
            raise ValueError(f"{printable(path)}: {error}") from None

    return found


def _without_metadata(found: Found) -> Found:
    """The files without those that hold the conditions."""
    return replace(found, files=tuple(f for f in found.files if f.name not in METADATA))


def _images(found: Found, root: Path) -> Images:
    """Each image below root with its class, in order of name."""
    above = root.parts
    depth = len(above)
    images = {}
    for file in found.files:
        parts = file.parts
        if parts[:depth] == above and is_image_file(file):
            images[file] = parts[depth] if len(parts) > depth + 1 else ""
    return images


def is_image_file(file: Path) -> bool:
    """Whether a file is an image by its name."""
    return file.suffix.lower() in _SUFFIXES


def _class_names(path: Path, files: Mapping[str, Images]) -> list[str] | None:
    """The classes of the training images, None where images lie outside of folders of classes."""
    labelled = [part for part, images in files.items() if all(images.values())]
    if not labelled:
        return None
    if len(labelled) < len(files):
        raise ValueError(
            f"{printable(path)}: {', '.join(labelled)} has a folder for each class, and another "
            "set has not; give folders to all sets or to none"
        )

    names = sorted({*files.get("train", {}).values()})
    for part, images in files.items():
        unknown = sorted({*images.values()} - {*names})
        if unknown and names:
            raise ValueError(
                f"{printable(path)}: {part} holds images of {_listed(unknown)}, and train has none "
                f"of them ({_listed(names)}); add training images, or take that folder away"
            )
    return names or None


def _listed(names: Sequence[str]) -> str:
    more = ["..."] if len(names) > _MOST_NAMES else []
    return ", ".join([printable(name) for name in names[:_MOST_NAMES]] + more)


def _others(found: Found) -> list[str]:
    """A sentence about files of other kinds, where there are any."""
    others = [file.suffix.lower() or "no suffix" for file in found.files if not is_image_file(file)]
    return skipped(others, "file is no image", "files are no images")


def _notes(
    path: Path, found: Found, roots: Mapping[str, Path], sets: Mapping[str, Images]
) -> list[str]:
    """What was left out of a folder, one sentence each."""
    images = [file for file in found.files if is_image_file(file)]
    inside = {file for found_images in sets.values() for file in found_images}
    outside = [file.relative_to(path).parts[0] for file in images if file not in inside]
    empty = [roots[part].name for part, found_images in sets.items() if not found_images]
    classes = {name for found_images in sets.values() for name in found_images.values()}

    notes = [
        *_others(found),
        *found.notes(),
        *skipped(outside, "image is in no set", "images are in no set"),
        *skipped(empty, "folder of a set holds no images", "folders of sets hold no images"),
    ]
    if "" in classes and len(classes) > 1:
        notes.append(
            "images lie beside the folders as well as in them: the folders are not taken as classes"
        )
    return notes
