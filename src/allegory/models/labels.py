"""The condition of samples: classes by their values in the data, as indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.classes import ClassName, label_array
from ..data.spec import DataSpec

Classes = Tensor | NDArray[np.generic] | Sequence[ClassName] | ClassName
"""Indices of classes as a tensor, or values of classes; one may stand for all items."""


def labels_of(condition: Classes | None, count: int, spec: DataSpec) -> Tensor | None:
    """The classes of `count` items as indices, for a model of data with this `spec`.

    Args:
        condition: indices as a tensor, or values of classes; one may stand for all items.
        count: the number of items.
        spec: with the classes.

    Raises:
        ValueError: for what is no class.
    """
    if condition is None or isinstance(condition, Tensor):
        labels = condition
    else:
        labels = _index_or_none(condition, spec)
    return labels.expand(count) if labels is not None and labels.ndim == 0 else labels


def _index_or_none(condition: Classes, spec: DataSpec) -> Tensor:
    """The indices of classes by their values; -1, no class, stays where it is no value."""
    try:
        labels = label_array(condition)
    except ValueError:
        raise ValueError(
            f"condition={condition!r}: give one class for all items, or one per item"
        ) from None
    flat = labels.reshape(-1)
    is_open = flat.dtype.kind == "i" and -1 not in (spec.class_names or ())
    hidden = (flat == -1) if is_open else np.zeros(flat.shape, bool)

    index = np.full(flat.shape, -1)
    try:
        index[~hidden] = spec.class_index(flat[~hidden]).numpy()
    except ValueError as error:
        raise ValueError(f"condition: {error}") from None
    return torch.from_numpy(index.reshape(labels.shape))
