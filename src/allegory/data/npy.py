"""Items from .npy and .npz files. Nothing is unpickled, so a file can hold numbers only.

uint8 and float arrays are read as `arrays.py` says. An .npz holds `x` (or one array of any name)
with `labels` or `y`, and may hold `x_validation` and `x_test` with theirs; `x_train` and `y_train`
mean `x` and `y`. Labels are integers from 0. A missing set is held out of the training set
(`splits.py`).
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import items_from, labels_from, spec_of
from .dataset import Dataset
from .items import Items
from .splits import SET_NAMES, complete

_Named = dict[str, NDArray[np.generic]]


def array_file(path: Path) -> Dataset:
    """The data set in the .npy or .npz file at path. ValueError for what is no array of numbers."""
    arrays = read_arrays(path)
    try:
        train, validation, test = complete(_parts(arrays))
        spec = spec_of([train, validation, test])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Dataset(path.stem, spec, train, validation, test)


def read_arrays(path: Path) -> _Named:
    """The arrays of the file at path by name; a single one is called x."""
    try:
        content = np.load(path, allow_pickle=False)
        arrays = (
            {"x": content}
            if isinstance(content, np.ndarray)
            else {name: content[name] for name in content.files}
        )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path}: holds Python objects, which are never unpickled; save plain numbers"
            ) from None

        reason = (
            isinstance(error, OSError) and error.strerror
        ) or "cut short, or not numpy's format"
        raise ValueError(
            f"{path}: cannot be read ({reason}); write it again with numpy.save or numpy.savez"
        ) from None
    return {"x": next(iter(arrays.values()))} if len(arrays) == 1 else arrays


def _parts(arrays: _Named) -> dict[str, Items]:
    """The sets of the file. The training set is x or x_train, any other x_<set>."""
    parts = {}
    for ending, part in {
        "": "train",
        **{f"_{name}": part for name, part in SET_NAMES.items()},
    }.items():
        if f"x{ending}" in arrays:
            items = items_from(arrays[f"x{ending}"])
            labels = arrays.get(f"labels{ending}", arrays.get(f"y{ending}"))
            parts[part] = Items(items, None if labels is None else labels_from(labels, len(items)))

    if "train" not in parts:
        raise ValueError(
            f"arrays {', '.join(sorted(arrays)) or 'none'}; name the one to learn from x"
        )

    return parts
