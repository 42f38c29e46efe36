"""Who is held out: three disjoint sets from what a source has.

A source that lacks a held-out set takes 1 item in 20 of its training set for it, at least one. Who is taken
is fixed: the permutation is numpy's RandomState(0), whose stream is frozen, so the sets are the same on every
machine.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from .dataset import Items

HELD_OUT = 20  # one in so many
# What files, folders and hub splits may be called.
PARTS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def split(arrays: Items, validation: int, test: int) -> tuple[Items, Items, Items]:
    """Train, validation, test: runs of RandomState(0).permutation(n). ValueError if none is left."""
    if len(arrays) == 0:
        raise ValueError("x: no items; give at least three, to train on and to hold out")
    train = len(arrays) - validation - test
    if train < 1:
        held_out = validation + test
        raise ValueError(
            f"x: {len(arrays)} items, {held_out} of them held out, leave none to train on; give more"
        )
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(arrays)).astype(np.int64))
    first, second, third = torch.split(order, [train, validation, test])
    return arrays.take(first), arrays.take(second), arrays.take(third)


def complete(parts: Mapping[str, Items]) -> tuple[Items, Items, Items]:
    """Train, validation and test, where `parts` may lack the last two. ValueError without "train"."""
    if "train" not in parts:
        raise ValueError(
            f"found {', '.join(parts) or 'no set'}: a training set is needed; add one named train"
        )
    share = max(1, len(parts["train"]) // HELD_OUT)
    validation = 0 if "validation" in parts else share
    test = 0 if "test" in parts else share
    train, held_validation, held_test = split(parts["train"], validation, test)
    return train, parts.get("validation", held_validation), parts.get("test", held_test)


def count_classes(parts: Iterable[Items]) -> int | None:
    """1 + the largest label of all sets, None without labels. ValueError when only some sets have labels."""
    labels = [part.labels for part in parts]
    if all(found is None for found in labels):
        return None
    if any(found is None for found in labels):
        raise ValueError("labels: one set has them and another has not; label all sets or none")
    return 1 + max(int(found.max()) for found in labels if found is not None)
