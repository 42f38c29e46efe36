"""From grey levels to two: each pixel is 1 with a probability that is its intensity (Salakhutdinov & Murray 2008).

    P(x_i = 1) = (v_i - low) / (high - low)

`static` draws every set once. `dynamic` draws the validation and test sets once, the same ones, and each training batch
anew: the items of an epoch are then other pictures each time, and a model cannot learn them by heart. A figure on the test
set is comparable between both. What is drawn for a batch is a function of (seed, epoch, position), so a resumed run sees
what the interrupted one would have seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from .spec import DataSpec

if TYPE_CHECKING:
    from .dataset import Dataset, Items

MODES = ("dynamic", "static")
BYTE = 255
STREAM = 1  # beside the order of an epoch, which has the key (seed, epoch, 0, 0)


def binarize(dataset: Dataset, mode: str) -> Dataset:
    """The same pictures with levels 0 and 1. ValueError for an unknown mode and for all but pictures of 256 levels."""
    if mode not in MODES:
        raise ValueError(f"binarize={mode!r}: give {' or '.join(MODES)}")
    spec = dataset.spec
    if len(spec.shape) != 3 or (spec.low, spec.high, spec.levels) != (0, BYTE, BYTE + 1):
        raise ValueError(
            f"binarize={mode}: {dataset.name} has items of shape {spec.shape}, {spec.levels or 'continuous'} levels; "
            "it is for pictures of 256 levels, leave it out"
        )
    train, validation, test = (
        replace(part, x=_once(part, seed))
        for seed, part in enumerate((dataset.train, dataset.validation, dataset.test))
    )
    if mode == "dynamic":
        train = replace(train, intensity=dataset.train.x)
    return replace(
        dataset,
        spec=DataSpec(spec.shape, 0.0, 1.0, 2, spec.classes),
        train=train,
        validation=validation,
        test=test,
    )


def redraw(
    intensity: UInt8[Tensor, "b *shape"], seed: int, epoch: int, position: int
) -> UInt8[Tensor, "b *shape"]:
    """The draw of the batch that begins here: 1 with probability intensity / 255, exactly, else 0."""
    generator = np.random.default_rng((seed, epoch, position, STREAM))
    below = generator.integers(
        0, BYTE, tuple(intensity.shape), dtype=np.uint8
    )  # 0..254: below v with chance v/255
    return (torch.from_numpy(below) < intensity).to(torch.uint8)


def _once(part: Items, seed: int) -> UInt8[Tensor, "n *shape"]:
    """The one draw of a set; the stream of RandomState is frozen, so it is the same on every machine."""
    below = np.random.RandomState(seed).randint(0, BYTE, tuple(part.x.shape), dtype=np.uint8)
    return (torch.from_numpy(below) < part.x).to(torch.uint8)
