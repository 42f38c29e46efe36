"""Items from .npy and .npz files. Nothing is unpickled, so a file can hold numbers only.

uint8 and float arrays are read as `arrays.py` says. An .npz holds `x` (or one array of any name)
with `labels` or `y`, and may hold `x_validation` and `x_test` with theirs; `x_train` and `y_train`
mean `x` and `y`. Labels are integers from 0. A missing set is held out of the training set
(`splits.py`).
"""

from pathlib import Path

from .array_files import Arrays, read_arrays
from .arrays import items_from, labels_from, spec_of
from .dataset import Dataset
from .items import Items
from .splits import SET_NAMES, complete


def array_file(path: Path) -> Dataset:
    """The data set in the .npy or .npz file at path. ValueError for what is no array of numbers."""
    arrays = read_arrays(path)
    try:
        train, validation, test = complete(_parts(arrays))
        spec = spec_of([train, validation, test])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Dataset(path.stem, spec, train, validation, test)


def _parts(arrays: Arrays) -> dict[str, Items]:
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
