"""Mirrored training images: each is turned left to right, or upside down, with probability 1/2.

The model then learns the mean of the density of the images and of that of their mirror images.
Which images of a batch are mirrored is a function of (seed, epoch, position), so a resumed run sees
what the interrupted one would have seen. Validation and test images stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from ..conditions import Picture
from .dataset import Dataset
from .items import BatchTransform

_AXES = {"horizontal": (-1,), "vertical": (-2,), "both": (-1, -2)}

FLIPS = tuple(_AXES)
"""Along which axes training images are mirrored: left to right, upside down, or each at random."""

_STREAM = 2  # The order of an epoch has the key (seed, epoch, 0, 0), what binarize draws has 1.


def flip(dataset: Dataset, mode: str) -> Dataset:
    """The same images, those of a training batch mirrored at random.

    Args:
        dataset: images, (c, h, w).
        mode: "horizontal", "vertical" or "both", each with probability 1/2.

    Raises:
        ValueError: for an unknown mode, or items that are no images.
    """
    if mode not in FLIPS:
        raise ValueError(f"flip={mode!r}: give {', '.join(FLIPS[:-1])} or {FLIPS[-1]}")
    if len(dataset.spec.shape) != 3:
        raise ValueError(
            f"flip={mode}: {dataset.name} has items of shape {dataset.spec.shape}; "
            "it is for images, leave it out"
        )
    given = dataset.spec.condition
    if any(isinstance(kind, Picture) for kind in (given, *getattr(given, "parts", ()))):
        raise ValueError(
            f"flip={mode}: the condition of {dataset.name} is a picture, which would not be "
            "mirrored; leave it out"
        )

    return replace(dataset, transform=Flips(_AXES[mode], dataset.transform))


@dataclass(frozen=True)
class Flips:
    """A `BatchTransform` that mirrors images.

    Args:
        axes: each of them is reversed with probability 1/2.
        first: the transform that makes the images of a batch; None takes them as they are stored.
    """

    axes: tuple[int, ...]
    first: BatchTransform | None = None

    def __call__(
        self, stored: Shaped[Tensor, "b *stored"], seed: tuple[int, int, int]
    ) -> Shaped[Tensor, "b c h w"]:
        """The images of a batch.

        Args:
            stored: images, or what the first transform makes them of.
            seed: (seed of the run, epoch, position), the key of the draw.
        """
        x = stored if self.first is None else self.first(stored, seed)
        mirrored = np.random.default_rng((*seed, _STREAM)).random((len(self.axes), len(x))) < 0.5

        for axis, chosen in zip(self.axes, torch.from_numpy(mirrored), strict=True):
            x = torch.where(chosen[:, None, None, None], x.flip(axis), x)
        return x
