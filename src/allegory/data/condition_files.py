"""Conditions in files of arrays: `condition`, or `condition_NAME` for several, and `captions`.

The condition of the set x_test is in `condition_test`, or in `condition_NAME_test`, as labels are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..conditions import Combined, Condition, EncodedText, Labels, Picture, Tags, Text, is_hidden
from ..conditions.classes import class_values
from .condition_kinds import PART_DROPOUT
from .splits import SET_NAMES

_ONE, _TEXT, _PART = "condition", "captions", "condition_"


def condition_names(names: set[str], ending: str, others: set[str]) -> dict[str, str]:
    """The arrays of a file that hold the condition of a set, by the name of the part.

    Args:
        names: of all arrays.
        ending: of the arrays of the set, such as "_test"; "" for the training set.
        others: endings of the other sets.

    Returns:
        The name of each array by that of its part; one without a name where there is one.

    Raises:
        ValueError: for a condition in one array and in several at once.
    """
    alone = [name for name in (f"{_ONE}{ending}", f"{_TEXT}{ending}") if name in names]
    parts = {
        name.removeprefix(_PART).removesuffix(ending): name
        for name in sorted(names)
        if name.startswith(_PART) and name.endswith(ending) and name != f"{_ONE}{ending}"
    }

    if ending == "":
        parts = {part: name for part, name in parts.items() if not _has_ending(part, others)}
    if len(alone) + bool(parts) > 1:
        raise ValueError(
            f"{', '.join([*alone, *parts.values()])}: name one array condition, or each of several "
            "condition_NAME"
        )
    return {"": alone[0]} if alone else parts


def condition_of(arrays: Mapping[str, NDArray[Any]], names: Mapping[str, str]) -> Any:
    """The condition in these arrays, as `condition_values` takes it; None where there is none.

    Args:
        arrays: by name.
        names: from `condition_names`.
    """
    if not names:
        return None
    if "" in names:
        return _with_missing(arrays[names[""]])
    return {part: _with_missing(arrays[name]) for part, name in names.items()}


def encoded_kinds(arrays: Mapping[str, NDArray[Any]], encoder: str) -> Any:
    """The kind of a condition that is text, or of the parts that are, by an encoder.

    Args:
        arrays: of a file, by name.
        encoder: a folder, or a name at huggingface.co.

    Raises:
        ValueError: without text, and for an encoder that cannot be read.
    """
    ending = "" if "x" in arrays else "_train"
    names = condition_names({*arrays}, ending, {f"_{name}" for name in SET_NAMES})
    texts = [part for part, name in names.items() if arrays[name].dtype.kind in "US"]
    if not texts:
        raise ValueError("encoder: no condition is text; leave ?encoder= out")

    kind = EncodedText.of(encoder)
    if "" in names:
        return kind
    return {part: replace(kind, dropout=PART_DROPOUT) for part in texts}


def condition_arrays(
    kind: Condition, rows: Shaped[Tensor, "n *row"]
) -> dict[str, NDArray[np.generic]]:
    """The values of conditions as arrays that are read as the same conditions again.

    Args:
        kind: of the condition.
        rows: one per item.

    Returns:
        The arrays by name, without classes that are hidden.
    """
    if not isinstance(kind, Combined):
        found = {_ONE: _values(kind, rows)}
    else:
        found = {
            f"{_PART}{name}": _values(part, kind.part(rows, name))
            for name, part in zip(kind.names, kind.parts, strict=True)
        }
    return {name: values for name, values in found.items() if values is not None}


def _has_ending(part: str, others: set[str]) -> bool:
    """Whether a part is the condition of another set, as "test" and "who_test" are."""
    return any(f"_{part}".endswith(ending) for ending in others if ending)


def _with_missing(array: NDArray[Any]) -> NDArray[Any]:
    """Text with None in place of "", as a file of plain arrays has no other sign for a missing one.

    Args:
        array: of text or of anything else, which stays.
    """
    if array.dtype.kind != "U" or not (array == "").any():
        return array
    texts = array.astype(object)
    texts[array == ""] = None
    return texts


def _values(kind: Condition, rows: Tensor) -> NDArray[np.generic] | None:
    if isinstance(kind, Labels):
        return None if bool((rows < 0).any()) else class_values(rows, kind.names)
    if isinstance(kind, Text):
        hidden = is_hidden(rows).tolist()
        pairs = zip(kind.texts(rows), hidden, strict=True)
        return np.array(["" if absent else text for text, absent in pairs])

    if isinstance(kind, Picture):
        return np.asarray(rows[:, : kind.shape[0]].numpy())
    if isinstance(kind, Tags) and not bool(torch.isnan(rows).any()):
        return np.asarray((rows == 1).numpy())
    return np.asarray(rows.numpy())
