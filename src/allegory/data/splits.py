"""Training, validation and test sets: three disjoint sets from the items of a source.

A source that lacks a held-out set takes 1 item in 20 of its training set for it, at least one. The
permutation is drawn from numpy's RandomState, whose stream is frozen, so the sets are the same on
every machine.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from .items import Items
from .spec import DataSpec

_HELD_OUT = 20  # one item in so many

SET_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""The set that files, folders and hub splits of this name hold."""


def split(items: Items, validation: int, test: int, seed: int = 0) -> tuple[Items, Items, Items]:
    """Training, validation and test items: consecutive runs of RandomState(seed).permutation(n).

    Args:
        items: all items.
        validation: how many to hold out for validation.
        test: how many to hold out for testing.
        seed: of the permutation.

    Raises:
        ValueError: when no item is left to train on.
    """
    if len(items) == 0:
        raise ValueError("x: no items; give at least three, to train on and to hold out")

    train = len(items) - validation - test
    if train < 1:
        raise ValueError(
            f"x: {len(items)} items, {validation + test} of them held out, "
            "leave none to train on; give more"
        )

    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(items)).astype(np.int64))
    first, second, third = torch.split(order, [train, validation, test])
    return items.take(first), items.take(second), items.take(third)


def split_by_fractions(
    items: Items, fractions: tuple[float, float, float], seed: int
) -> tuple[Items, Items, Items]:
    """Training, validation and test items in these proportions, one at least in each.

    Args:
        items: all items.
        fractions: of training, validation and test items; they sum to 1.
        seed: of the permutation; 0 is that of `split`.

    Raises:
        ValueError: for fractions that do not sum to 1, or too few items.
    """
    numbers = isinstance(fractions, Sequence) and all(isinstance(each, Real) for each in fractions)
    train, validation, test = fractions if numbers and len(fractions) == 3 else (0.0, 0.0, 0.0)
    if not (train > 0 <= min(validation, test) and abs(train + validation + test - 1) <= 1e-6):
        raise ValueError(
            f"split={fractions}: give three fractions that sum to 1, e.g. (0.9, 0.05, 0.05)"
        )
    counts = [max(1, round(fraction * len(items))) for fraction in (validation, test)]
    return split(items, counts[0], counts[1], seed)


def complete(parts: Mapping[str, Items]) -> tuple[Items, Items, Items]:
    """Training, validation and test items; what `parts` lacks is held out of "train".

    Items of "train" have their index in it, and the name of that set in `held_out_of`.

    Raises:
        ValueError: without "train".
    """
    if "train" not in parts:
        raise ValueError(
            f"found {', '.join(parts) or 'no set'}: a training set is needed; add one named train"
        )

    held_out = max(1, len(parts["train"]) // _HELD_OUT)
    validation = 0 if "validation" in parts else held_out
    test = 0 if "test" in parts else held_out

    whole = replace(parts["train"].numbered(), held_out_of="train")
    train, held_validation, held_test = split(whole, validation, test)
    return train, parts.get("validation", held_validation), parts.get("test", held_test)


def together(sets: Sequence[Items]) -> Items:
    """The items that `complete` took from one set, in the order of their index."""
    parts = [part for part in sets if part.held_out_of is not None]
    index = torch.cat([part.index for part in parts if part.index is not None])
    labels = [part.labels for part in parts if part.labels is not None]

    rows = [part.condition for part in parts if part.condition is not None]

    joined = Items(
        torch.cat([part.x for part in parts]),
        torch.cat(labels) if labels else None,
        index=index,
        held_out_of=parts[0].held_out_of,
        condition=torch.cat(rows) if rows else None,
    )
    return joined.take(index.argsort())


def mixed(items: Items) -> Items:
    """All items in the order of RandomState(0).permutation(n), with their index.

    A set that is sorted by class then begins with items of all classes.
    """
    order = np.random.RandomState(0).permutation(len(items)).astype(np.int64)
    return items.numbered().take(torch.from_numpy(order))


def subset(items: Items, count: int) -> Items:
    """At most `count` of the items, chosen at random but always the same, in their own order.

    Items are often sorted by class, so that the first of them stand for one class. The choice is
    the first entries of RandomState(0).permutation(n).

    Args:
        items: all items.
        count: how many to choose; all are returned where there are no more.

    Returns:
        The items, with their index.
    """
    items = items.numbered()
    if count >= len(items):
        return items
    chosen = np.random.RandomState(0).permutation(len(items))[:count]
    return items.take(torch.from_numpy(np.sort(chosen).astype(np.int64)))


def conditions_in_turn(
    spec: DataSpec, items: Items | None, count: int
) -> tuple[Tensor | None, Tensor | None]:
    """The conditions of so many samples, one after another and again from the first.

    Args:
        spec: what a model is conditioned on: all classes, or the conditions of the items, in turn.
        items: those whose conditions are taken; None, or items without, for no condition.
        count: the number of samples.

    Returns:
        The rows, and the labels of the samples: the classes, or the labels of the items.
    """
    order = torch.arange(count)
    if spec.condition is None:
        labels = None if spec.classes is None else order % spec.classes
        return labels, labels
    if items is None or items.condition is None:
        return None, None

    some = order % len(items)
    return items.condition[some], None if items.labels is None else items.labels[some]


def count_classes(parts: Iterable[Items]) -> int | None:
    """1 + the largest label of the parts, None without. ValueError where only some have labels."""
    labels = [part.labels for part in parts]
    if all(found is None for found in labels):
        return None
    if any(found is None for found in labels):
        raise ValueError("labels: one set has them and another has not; label all sets or none")
    return 1 + max(int(found.max()) for found in labels if found is not None)
