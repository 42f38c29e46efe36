"""Tables of images: parquet files in the layout of the Hugging Face hub, and the hub itself.

A row holds an encoded image (the column whose feature is an image, else the one named `image` or
`img`) and perhaps a label (the column `label`, else the first whose feature is a class). All other
columns are left alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from .dataset import Dataset
from .encoded import Encoded
from .images import image_dataset
from .items import Items
from .pixels import decode_images
from .splits import SET_NAMES


def parquet(path: Path, *, size: int | None = None) -> Dataset:
    """The images of a parquet file, or of a folder with train*.parquet and perhaps other sets.

    Args:
        path: the file or folder.
        size: the centred square of each image is resized to size x size; None leaves it.

    Raises:
        ValueError: for files that cannot be read.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    files: dict[str, list[Path]] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("*.parquet")):
        named = (part for prefix, part in SET_NAMES.items() if file.stem.startswith(prefix))
        part = "train" if path.is_file() else next(named, None)
        if part is not None:
            files.setdefault(part, []).append(file)

    tables = {}
    for part, found in files.items():
        try:
            tables[part] = datasets.Dataset(
                pa.concat_tables([pq.read_table(file) for file in found])
            )
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{path}, {part}: not whole parquet files of one kind ({reason}); write them again"
            ) from None

    return from_tables(path.stem if path.is_file() else path.name, str(path), tables, size)


def hub(name: str, *, size: int | None = None) -> Dataset:
    """A data set of the Hugging Face hub, downloaded on first use and cached by `datasets`.

    Args:
        name: owner/name.
        size: the centred square of each image is resized to size x size; None leaves it.

    Raises:
        ValueError: for a data set that cannot be loaded.
    """
    import datasets

    try:
        tables = datasets.load_dataset(name)
    except (OSError, ValueError) as error:
        # No network, no such data set, a full disk, a choice of several.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"hub:{name}: not loaded ({reason}); check the name and the network, "
            "or give a local folder"
        ) from None

    return from_tables(name.split("/")[-1], f"hub:{name}", tables, size)


def from_tables(name: str, source: str, tables: Mapping[str, Any], size: int | None) -> Dataset:
    """A data set from tables of images; sets of unknown names are ignored.

    Args:
        name: of the data set.
        source: what error messages call it.
        tables: one `datasets.Dataset` per set.
        size: the centred square of each image is resized to size x size; None leaves it.
    """
    parts = {}
    classes = None

    try:
        for split, table in tables.items():
            if split in SET_NAMES:
                parts[SET_NAMES[split]] = _items(table, size)
                classes = classes or _known_classes(table)
        return image_dataset(name, parts, classes)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _items(table: Any, size: int | None) -> Items:
    """The images and labels of one set."""
    import datasets
    import pyarrow as pa

    if len(table) == 0:
        raise ValueError("x: no items; give at least one in every set")

    image = _image_column(table)
    label = _label_column(table)

    try:
        table = table.cast_column(image, datasets.Image(decode=False))
    except (pa.ArrowException, TypeError, ValueError):
        raise ValueError(
            f"column {image!r}: holds no encoded images; save numbers as .npz"
        ) from None

    cells = table.with_format("arrow")[:][image].to_pylist()
    files = [cell and (cell["bytes"] or (cell["path"] and Path(cell["path"]))) for cell in cells]
    if not all(files):
        row = [bool(file) for file in files].index(False)
        raise ValueError(f"column {image!r}: row {row} is empty; remove it")

    named = [Encoded(f"image {row}", file) for row, file in enumerate(files)]
    return Items(decode_images(named, size).x, None if label is None else _labels(table, label))


def _labels(table: Any, column: str) -> Int64[Tensor, " n"]:
    values = table.with_format("arrow")[:][column].to_numpy()
    if values.dtype.kind not in "iu":
        raise ValueError(
            f"column {column!r}: labels must be integers from 0, without gaps; found {values.dtype}"
        )
    return torch.from_numpy(values.astype(np.int64))


def _image_column(table: Any) -> str:
    import datasets

    typed = [
        name for name, feature in table.features.items() if isinstance(feature, datasets.Image)
    ]
    named = [name for name in ("image", "img") if name in table.features]
    if not (typed or named):
        columns = ", ".join(table.features)
        raise ValueError(
            f"columns {columns}: none holds images; name it image, or save numbers as .npz"
        )

    return (typed or named)[0]


def _label_column(table: Any) -> str | None:
    import datasets

    typed = [
        name for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)
    ]
    return "label" if "label" in table.features else next(iter(typed), None)


def _known_classes(table: Any) -> list[str] | None:
    label = _label_column(table)
    return getattr(table.features[label], "names", None) if label else None
