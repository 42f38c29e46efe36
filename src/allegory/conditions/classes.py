"""The classes of labelled data: their values in the data, and their indices 0, 1, 2, ...

Labels of a data set may be whole numbers of any size, text or booleans. A model counts classes from
0; their values are stored once, in sorted order, as the `class_names` of a `DataSpec`. None means
that the values are 0 to classes - 1 themselves. Two values are the same class where they are the
same text: the folder "7" and the number 7.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..lookup import printable

ClassName = str | int | bool
"""The value of a class in the data."""

_KINDS = (str, int, bool)
_SHOWN = 10  # classes in a message
_LONGEST = 40  # letters of each


def check_unmasked(name: str, values: object) -> None:
    """ValueError for masked numbers (`numpy.ma`), which would be read as if they were there."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        count = int(np.ma.getmaskarray(values).sum())
        raise ValueError(
            f"{name}: {count:,} numbers are masked; leave those items out, or "
            f"fill them, as in {name}.filled(0)"
        )


def label_array(labels: Any) -> NDArray[np.generic]:
    """Labels as an array of whole numbers, text or booleans.

    Args:
        labels: a list, numpy array or torch tensor; an array of Python objects of one kind is
            taken too, as a table has it.

    Raises:
        ValueError: for floats and other kinds, which are no class labels.
    """
    check_unmasked("labels", labels)
    array = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if array.dtype.kind == "O" and len({type(each) for each in array.flat}) == 1:
        array = np.asarray(array.tolist())
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind not in "iubU":
        raise ValueError(
            f"labels: dtype {array.dtype}; give class labels: whole numbers, text or booleans"
        )

    return array


def class_names(labels: NDArray[np.generic]) -> tuple[ClassName, ...]:
    """The values of the classes that occur, sorted; as many as there are different labels.

    Args:
        labels: of all training items, (n,).

    Raises:
        ValueError: for more classes than half of the items, which are no classes.
    """
    values = np.unique(labels)
    if len(values) > max(2, len(labels) // 2):
        raise ValueError(
            f"labels: {len(values)} classes for {len(labels)} items; "
            "give class labels, or leave them out"
        )

    return tuple(values.tolist())


def are_counted(names: tuple[ClassName, ...]) -> bool:
    """Whether the values are 0 to classes - 1, so that none has to be stored."""
    return all(type(name) is int for name in names) and names == tuple(range(len(names)))


def check_class_names(names: Any, classes: int | None) -> None:
    """Refuse values of classes that a `DataSpec` cannot have.

    Args:
        names: the values.
        classes: the number of classes.

    Raises:
        ValueError: for another number of them, other kinds, or two that are the same.
    """
    if not isinstance(names, list | tuple) or not all(type(name) in _KINDS for name in names):
        raise ValueError("class_names: give text, whole numbers or booleans, one for each class")
    if len(names) != classes:
        raise ValueError(f"class_names: {len(names)} for classes={classes}; give one for each")
    if len({type(name) for name in names}) > 1 or len({*map(str, names)}) < len(names):
        raise ValueError("class_names: give values of one kind, each of them once")


def class_index(
    labels: Any, names: tuple[ClassName, ...] | None, classes: int
) -> Int64[Tensor, "*any"]:
    """The index of the class of each label.

    Args:
        labels: values of classes, one or an array of them; the text of a value stands for it.
        names: the values by index; None for 0 to classes - 1.
        classes: the number of classes.

    Raises:
        ValueError: for a value that is no class; it lists the classes.
    """
    array = label_array(labels)
    values, places = np.unique(array, return_inverse=True)
    texts = [str(value) for value in values.tolist()]

    known = None if names is None else {str(name): i for i, name in enumerate(names)}
    found = [_counted(text, classes) if known is None else known.get(text) for text in texts]
    unknown = tuple(text for text, index in zip(texts, found, strict=True) if index is None)
    if unknown:
        words = [] if known is None or unknown[0].isdecimal() else [*known]
        close = get_close_matches(unknown[0], words, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"class {classes_text(unknown, len(unknown))}: not known; "
            f"{hint}the classes are {classes_text(names, classes)}"
        )

    index = np.array(found, dtype=np.int64)[places.reshape(array.shape)]
    return torch.from_numpy(np.asarray(index))


def untrained(
    labels: Int64[Tensor, " n"] | None, names: tuple[ClassName, ...] | None, classes: int | None
) -> tuple[str, ...]:
    """A sentence about classes without a training item, where there are any.

    Args:
        labels: of the training items, as indices; None without labels.
        names: the values by index; None for 0 to classes - 1.
        classes: the number of classes.
    """
    if labels is None or classes is None:
        return ()
    missing = sorted({*range(classes)} - {*labels.unique().tolist()})
    if not missing:
        return ()
    values = tuple(names[index] for index in missing) if names else tuple(missing)

    return (
        f"no training items of class {classes_text(values, len(values))}: all were held out, so "
        "its samples and likelihoods mean nothing; give more items of it, or none",
    )


def class_values(
    index: Int64[Tensor, "*any"], names: tuple[ClassName, ...] | None
) -> Shaped[NDArray[np.generic], "*any"]:
    """The value of each class in the data.

    Args:
        index: of classes, from 0.
        names: the values by index; None for the indices themselves.
    """
    numbers: NDArray[np.generic] = index.cpu().numpy()
    return numbers if names is None else np.asarray(np.array(names)[numbers])


def classes_text(names: tuple[ClassName, ...] | None, classes: int) -> str:
    """The classes in a few words, e.g. "cat, dog" or "0 to 9", without control characters.

    Args:
        names: the values by index; None for 0 to classes - 1.
        classes: the number of classes.
    """
    if names is None:
        return f"0 to {classes - 1}"
    texts = [printable(name)[:_LONGEST] or "''" for name in names[:_SHOWN]]
    return ", ".join(texts) + (f", ... ({classes} in all)" if len(names) > _SHOWN else "")


def _counted(text: str, classes: int) -> int | None:
    """The index that the text is, None for what is no index of a class."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if is_number and str(int(text)) == text and int(text) < classes else None
