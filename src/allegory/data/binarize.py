"""Binarized images: each pixel v in 0..255 becomes 1 with probability v / 255, else 0.

This is the binarization of Salakhutdinov & Murray 2008, "On the quantitative analysis of deep
belief networks". `static` draws every set once. `dynamic` draws the validation and test sets once,
with the same result, and each training batch anew: every epoch sees other images, so a model cannot
memorise them. A figure on the test set is comparable between both. What is drawn for a batch is a
function of (seed, epoch, position), so a resumed run sees what the interrupted one would have seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from .dataset import Dataset
from .items import Items

MODES = ("dynamic", "static")
"""When training items are drawn: anew in each batch, or once."""

_WHITE = 255
_STREAM = 1  # The order of an epoch has the key (seed, epoch, 0, 0).


def binarize(dataset: Dataset, mode: str) -> Dataset:
    """The same images with the levels 0 and 1.

    Args:
        dataset: images of 256 levels.
        mode: "dynamic" or "static".

    Raises:
        ValueError: for an unknown mode, items other than images of 256 levels, or a data set with a
            transform.
    """
    if mode not in MODES:
        raise ValueError(f"binarize={mode!r}: give {' or '.join(MODES)}")

    spec = dataset.spec
    if len(spec.shape) != 3 or (spec.low, spec.high, spec.levels) != (0, _WHITE, _WHITE + 1):
        raise ValueError(
            f"binarize={mode}: {dataset.name} has items of shape {spec.shape}, "
            f"{spec.levels or 'continuous'} levels; it is for images of 256 levels, leave it out"
        )
    if dataset.transform is not None:
        raise ValueError(f"binarize={mode}: {dataset.name} has a transform already; leave one out")

    is_dynamic = mode == "dynamic"
    sets = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = (_drawn_once(items, seed) for seed, items in enumerate(sets))

    return replace(
        dataset,
        spec=replace(spec, low=0.0, high=1.0, levels=2),
        train=replace(train, stored=dataset.train.x) if is_dynamic else train,
        validation=validation,
        test=test,
        transform=draw_pixels if is_dynamic else None,
    )


def draw_pixels(
    stored: UInt8[Tensor, "b *shape"], seed: tuple[int, int, int]
) -> UInt8[Tensor, "b *shape"]:
    """1 with probability stored / 255, exactly, else 0.

    Args:
        stored: grey pixels, 0..255.
        seed: (seed of the run, epoch, position), the key of the draw.
    """
    generator = np.random.default_rng((*seed, _STREAM))
    # Uniform on 0..254, so it is below v with probability v / 255.
    threshold = generator.integers(0, _WHITE, tuple(stored.shape), dtype=np.uint8)
    return (torch.from_numpy(threshold) < stored).to(torch.uint8)


def _drawn_once(items: Items, seed: int) -> Items:
    """The one draw of a set, the same on every machine: the stream of RandomState is frozen."""
    threshold = np.random.RandomState(seed).randint(0, _WHITE, tuple(items.x.shape), dtype=np.uint8)
    return replace(items, x=(torch.from_numpy(threshold) < items.x).to(torch.uint8))
