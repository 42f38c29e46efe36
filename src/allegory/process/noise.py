"""Random numbers per item: an item draws the same from its seed alone and in any batch.

Draws are made on the CPU in float32 and then moved and cast, so the device, the dtype and the
neighbours of an item do not change them. Any whole number of 64 bits is a seed: numpy hashes
all of it, where torch would keep 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from operator import index
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..lookup import refuse_number


class Stream(IntEnum):
    """What a draw is for. Two streams of one seed share no random number."""

    START = 0
    """x_T, where sampling begins."""
    STEPS = 1
    """The noise of the steps of a sampler."""
    BOUND = 2
    """Times and noise of a bound."""
    PROBES = 3
    """Random vectors of a trace estimate."""
    BINS = 4
    """Where a discrete value lies in its bin, for dequantization."""
    DATA = 5
    """A draw of clean data from a known distribution."""
    MEASUREMENT = 6
    """The noise of a measurement."""
    LATENTS = 7
    """The latents of an autoencoder, and its output."""


def item_seeds(seeds: Sequence[Any] | None, count: int) -> Sequence[Any]:
    """One seed per item.

    Args:
        seeds: one integer per item; None for 0 to count - 1.
        count: how many items there are.

    Raises:
        ValueError: when there are not as many seeds as items.
    """
    if seeds is None:
        return range(count)
    refuse_number(seeds)
    if len(seeds) != count:
        raise ValueError(f"seeds: {len(seeds)} for {count} items; give one integer per item")
    return seeds


class Noise:
    """Independent random numbers per item.

    Args:
        seeds: one integer per item.
        shape: the shape of an item's draw.
        stream: what the draws are for.
    """

    def __init__(
        self, seeds: Sequence[int], shape: Sequence[int], stream: Stream = Stream.STEPS
    ) -> None:
        self.shape = tuple(shape)
        self._generators = [
            np.random.Generator(np.random.SFC64(_key(seed, stream))) for seed in seeds
        ]

    def draw(self, like: Tensor | None = None) -> Float[Tensor, "b *shape"]:
        """The next standard-normal draw of every item, in the shape of `like` if it is given.

        Raises:
            ValueError: for another number of items than of seeds.
        """
        if like is not None:
            item_seeds(self._generators, len(like))
        shape = self.shape if like is None else like.shape[1:]
        eps = np.empty((len(self._generators), *shape), dtype=np.float32)
        for i, generator in enumerate(self._generators):
            generator.standard_normal(dtype=np.float32, out=eps[i : i + 1])

        drawn = torch.from_numpy(eps)
        return drawn if like is None else drawn.to(like)

    def poisson(self, rate: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The next Poisson-distributed count of every number, of mean `rate`, like it."""
        means = rate.detach().double().cpu().numpy()
        drawn = [each.poisson(mean) for each, mean in zip(self._generators, means, strict=True)]
        return torch.as_tensor(np.stack(drawn)).to(rate)

    def uniform(self) -> Float[Tensor, " b"]:
        """The next uniform number in [0, 1) of every item, float64."""
        drawn = [generator.random() for generator in self._generators]
        return torch.tensor(drawn, dtype=torch.float64)

    def uniforms(self) -> Float64[Tensor, "b *shape"]:
        """The next uniform numbers in [0, 1) of every item, of 53 bits, in its shape."""
        drawn = np.empty((len(self._generators), *self.shape))
        for each, generator in zip(drawn, self._generators, strict=True):
            generator.random(out=each)
        return torch.from_numpy(drawn)


def _key(seed: int, stream: Stream) -> np.random.SeedSequence:
    """Seed and stream as three words of 32 bits, so that no two pairs have the same words.

    ValueError for a seed that is negative or has more than 64 bits, which would be another's.
    """
    try:
        number = index(seed)
    except TypeError:
        raise ValueError(f"seeds: {seed!r} is none; give one integer per item") from None
    if not 0 <= number < 2**64:
        raise ValueError(f"seeds: {number} is none; give whole numbers from 0 to 2^64 - 1")
    low, high = number % 2**32, number // 2**32

    return np.random.SeedSequence([int(stream), low, high])
