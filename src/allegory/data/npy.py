"""Items from .npy and .npz files. Nothing is unpickled, so a file can hold numbers only.

- uint8 (N, H, W): images (1, H, W), 256 levels 0..255.
- uint8 (N, C, H, W) or (N, H, W, C): images (C, H, W), 256 levels. The channel axis is the one of length 1, 3
  or 4; where both are, the array is taken as (N, C, H, W).
- uint8 of another rank: items as they are, 256 levels 0..255.
- float (N, ...): items as they are, float32, continuous, from the smallest to the largest number of all sets.

An .npz holds `x` (or one array of any name) with `labels` or `y`, and may hold `x_validation` and `x_test`
with theirs; `x_train` and `y_train` mean `x` and `y`. Labels are integers from 0. A missing set is held out
of the training set (`splits.py`).
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from .dataset import Dataset, Items
from .spec import DataSpec
from .splits import PARTS, complete, count_classes

Named = dict[str, NDArray[np.generic]]
CHANNELS = (1, 3, 4)


def array_file(path: Path) -> Dataset:
    """The data set in a .npy or .npz file. ValueError, with the remedy, for all but numbers of one shape."""
    arrays = read(path)
    try:
        train, validation, test = complete(_parts(arrays))
        spec = _describe([train, validation, test])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Dataset(path.stem, spec, train, validation, test)


def read(path: Path) -> Named:
    """Every array of the file by name; the one of a .npy, or the only one of a .npz, is called x."""
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


def _parts(arrays: Named) -> dict[str, Items]:
    """The sets of the file. The training set is x or x_train, any other x_<set>."""
    parts = {}
    for ending, part in {"": "train", **{f"_{name}": part for name, part in PARTS.items()}}.items():
        if f"x{ending}" in arrays:
            items = _items(arrays[f"x{ending}"])
            labels = arrays.get(f"labels{ending}", arrays.get(f"y{ending}"))
            parts[part] = Items(items, None if labels is None else _labels(labels, len(items)))
    if "train" not in parts:
        raise ValueError(
            f"arrays {', '.join(sorted(arrays)) or 'none'}; name the one to learn from x"
        )
    return parts


def _items(array: NDArray[np.generic]) -> Shaped[Tensor, "n *shape"]:
    if array.ndim < 2:
        raise ValueError(
            f"x: shape {array.shape}; give items along the first axis and their numbers along the others"
        )
    if array.dtype == np.uint8:
        return _channels_first(torch.from_numpy(np.ascontiguousarray(array)))
    if array.dtype.kind != "f":
        raise ValueError(
            f"x: dtype {array.dtype}; save uint8 for 256 levels or float32 for continuous data"
        )
    with np.errstate(
        over="ignore"
    ):  # too large for float32 becomes infinite, which is refused below
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _channels_first(x: Shaped[Tensor, "n *shape"]) -> Shaped[Tensor, "n *shape2"]:
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim != 4 or x.shape[1] in CHANNELS:
        return x
    if x.shape[3] in CHANNELS:
        return x.permute(0, 3, 1, 2).contiguous()
    raise ValueError(
        f"x: shape {tuple(x.shape)} has no axis of 1, 3 or 4 channels; save images as (N, C, H, W)"
    )


def _labels(array: NDArray[np.generic], count: int) -> Tensor:
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels: dtype {array.dtype}; save integers from 0")
    if array.shape != (count,):
        raise ValueError(f"labels: shape {array.shape} for {count} items; give one label an item")
    return torch.from_numpy(array.astype(np.int64))


def _describe(parts: list[Items]) -> DataSpec:
    """The one spec that all sets share."""
    if any(len(part) == 0 for part in parts):
        raise ValueError("x: no items; give at least one in every set")
    if len({part.x.dtype for part in parts}) > 1:
        raise ValueError("x: uint8 in one set and float in another; save all sets alike")
    classes = count_classes(parts)
    shape = tuple(parts[0].x.shape[1:])
    if parts[0].x.dtype == torch.uint8:
        return DataSpec(shape, 0.0, 255.0, 256, classes)
    low = min(part.x.min().item() for part in parts)
    high = max(part.x.max().item() for part in parts)
    if not np.isfinite([low, high]).all():
        raise ValueError("x: holds NaN or infinite values; remove or replace those items")
    if low == high:
        raise ValueError(f"x: every number is {low:g}; a density needs numbers that vary")
    return DataSpec(shape, low, high, None, classes)
