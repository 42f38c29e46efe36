"""Noise that belongs to an item: every item of a batch has a seed, and its draws are the same in any batch.

Draws are made on the CPU in float32 and then moved and cast, so the device, the dtype and the neighbours of an item
do not change them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Path

START, STEPS = 0, 1
"""Streams: the draw of x_T, and the draws along the way. They share a seed but not a random number."""


class Noise:
    """One standard-normal stream per item."""

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], stream: int = STEPS) -> None:
        self.shape = tuple(shape)
        self._generators = [torch.Generator().manual_seed(_stream_seed(seed, stream)) for seed in seeds]

    def draw(self, like: Tensor | None = None) -> Float[Tensor, "b *shape"]:
        """The next standard-normal draw of every item."""
        eps = torch.empty(len(self._generators), *self.shape)
        for item, generator in zip(eps, self._generators, strict=True):
            item.normal_(generator=generator)
        return eps if like is None else eps.to(like)


def _stream_seed(seed: int, stream: int) -> int:
    # An odd multiplier is one-to-one modulo 2^63, so no two (seed, stream) pairs below 2^62 meet.
    return ((2 * int(seed) + stream) * 0x9E3779B97F4A7C15) % 2**63


def start(path: Path, shape: Sequence[int], seeds: Sequence[int]) -> Float[Tensor, "b *shape"]:
    """x_T ~ N(0, prior_std^2 I), item i from seeds[i] (Luo 2022, eq. 33)."""
    if len(seeds) == 0:
        raise ValueError("seeds: empty; give one integer per item")
    return path.prior_std * Noise(seeds, shape, START).draw()
