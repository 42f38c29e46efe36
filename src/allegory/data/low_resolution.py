"""Images whose condition is themselves at a lower resolution: the data of a model that enlarges.

The picture of an image is its mean over each block of 4x4 pixels, say, in the units of the data;
means of bytes are exact in float32. Samples of a model of such data agree with the picture that
they were given: the last step from a sample to raw data goes to the nearest item that does.

In training the picture has noise, on whose level the network is conditioned (Ho et al. 2021,
"Cascaded Diffusion Models for High Fidelity Image Generation"), so that the model
also enlarges the samples of another model. Noise of 0 is the picture as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace

from jaxtyping import Float, Shaped
from torch import Tensor

from ..conditions import Picture
from ..numerics.blocks import block_means
from .dataset import Dataset
from .items import Items
from .spec import DataSpec

NOISE = 0.3
"""The largest noise of the pictures in training, unless another is given."""


def low_resolution(dataset: Dataset, option: str) -> Dataset:
    """The same images, each with its means over blocks of pixels as the condition.

    Args:
        dataset: images, (c, h, w).
        option: the sides of a block, such as "4"; "4:0.1" has noise of at most 0.1 in training, and
            "4:0" none.

    Raises:
        ValueError: for an option that is none, a factor that does not divide both sides, items that
            are no images, and data with a condition or a transform.
    """
    factor, noise = _numbers(option)

    spec = dataset.spec
    if len(spec.shape) != 3 or isinstance(spec.low, tuple) or isinstance(spec.high, tuple):
        raise ValueError(
            f"lowres={option}: {dataset.name} has items of shape {spec.shape}; "
            "it is for images, leave it out"
        )
    if dataset.transform is not None:
        raise ValueError(
            f"lowres={option}: {dataset.name} has a transform (flip, binarize=dynamic), which "
            "changes images after their means were taken; leave one out"
        )
    if spec.condition is not None:
        raise ValueError(f"lowres={option}: {dataset.name} has a condition; leave one out")

    channels, *space = spec.shape
    if any(side % factor for side in space):
        divides = [f for f in range(2, min(space) + 1) if all(side % f == 0 for side in space)]
        known = ", ".join(map(str, divides)) or "none but 1"
        raise ValueError(
            f"lowres={option}: {factor} does not divide {space[0]}x{space[1]}; give one that does "
            f"({known})"
        )

    shape = (channels, *(side // factor for side in space))
    kind = Picture(shape, spec.low, spec.high, noise, blocks=factor, bounded=spec.range_is_law)

    train, validation, test = (_with_means(items, kind, factor) for items in dataset.sets)
    spec = replace(spec, condition=kind)

    return replace(dataset, spec=spec, train=train, validation=validation, test=test)


def decode_given(
    spec: DataSpec, x: Float[Tensor, "b *shape"], rows: Shaped[Tensor, "b *row"] | None
) -> Shaped[Tensor, "b *shape"]:
    """Raw items from x in model space, as `spec.decode`, that agree with their condition.

    Where the condition says the means over blocks of the items (`Condition.block_means`), the
    result is the nearest item in the range of the data that has them, continuous or rounded to
    levels.

    Args:
        spec: of the items.
        x: items in model space.
        rows: of their condition, or None.
    """
    known = None if rows is None or spec.given is None else spec.given.block_means(rows.cpu())
    if known is None:
        return spec.decode(x)

    if spec.levels is not None:
        index = (x.double() + 1) / spec.step
        means = known.scaled(-1, spec.step)
        nearest = means.within(index, 0, spec.levels - 1)

        return spec.decode(means.rounded(nearest) * spec.step - 1)

    agreed = known.within(x, -1, 1) if spec.bounded else known.shifted(x)
    return spec.decode(agreed).to(spec.decode(x[:0]).dtype)


def _with_means(items: Items, kind: Picture, factor: int) -> Items:
    """The items with their means over blocks as rows."""
    return replace(items, condition=kind.encode(block_means(items.x, factor)))


def _numbers(option: str) -> tuple[int, float]:
    """The sides of a block and the largest noise. ValueError for other text."""
    factor, colon, noise = option.partition(":")
    try:
        found = int(factor), float(noise) if colon else NOISE
    except ValueError:
        found = 0, math.nan

    if found[0] < 2 or not 0 <= found[1] <= 1:
        raise ValueError(
            f"lowres={option}: give the sides of a block, 2 or more, as in lowres=4, and the "
            "largest noise, from 0 to 1, as in lowres=4:0.1"
        )
    return found
