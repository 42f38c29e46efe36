"""Which function reads a file or folder, by what its name ends in and what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .dataset import Dataset
from .folders import files_below
from .images import image_folder, is_image_file
from .npy import array_file
from .parquet import parquet
from .table_files import csv_file
from .text_files import is_text, text_file


def path_source(path: Path) -> Callable[..., Dataset]:
    """The function that reads a file or folder that is there.

    Args:
        path: the file or folder.

    Raises:
        ValueError: for a file of another kind.
    """
    if path.is_dir():
        return _folder_source(path)
    if path.suffix == ".parquet":
        return parquet
    if is_text(path):
        return text_file
    if path.suffix.lower() == ".csv":
        return csv_file
    if path.suffix in (".npy", ".npz"):
        return array_file

    remedy = "text:FILE for text of another name"
    if path.suffix.lower() == ".jsonl":
        remedy = f"text:{path.name}?text=COLUMN for the text of its lines"
    raise ValueError(
        f"data source {str(path)!r}: not a kind that is read; give .npy, .npz, .parquet, .csv, "
        f".txt or a folder, or {remedy}"
    )


def _folder_source(path: Path) -> Callable[..., Any]:
    """Tables where there is one, else text where there are no images, else images."""
    files = files_below(path).files
    if any(file.suffix == ".parquet" for file in files):
        return parquet

    has_images = any(map(is_image_file, files))
    return text_file if not has_images and any(map(is_text, files)) else image_folder
