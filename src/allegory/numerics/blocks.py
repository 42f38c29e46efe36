r"""Means over blocks of pixels, and the items nearest to others that have given means.

A x is the mean of x over each block of f x f pixels. A A^T = 1/f^2, so that the nearest item with
A x = m is

    x + A^T (A A^T)^-1 (m - A x),

which adds one number to all pixels of a block. With all numbers in [low, high] it is
clamp(x + c, low, high), with one c per block for which the mean is m: that is the condition of
Karush, Kuhn and Tucker, and the mean grows with c, so that bisection finds it. Whole numbers keep
the sum of each block by largest remainders: all are rounded down, and as many of those that lost
most are raised by 1 as the sum asks for. Each block is treated by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from .precision import double

_HALVINGS = 60
"""Of the interval of c: it is then as wide as the rounding of float64."""


@dataclass(frozen=True, eq=False)
class BlockMeans:
    """Given means over blocks of the pixels of items.

    Args:
        means: of each block, (b, c, h / factor, w / factor), NaN where it is not known.
        factor: the sides of a block, in pixels.
    """

    means: Float64[Tensor, "b c y x"]
    factor: int

    def scaled(self, centre: float, half: float) -> BlockMeans:
        """(means - centre) / half.

        Args:
            centre: what becomes 0.
            half: what becomes 1 beyond it.
        """
        return BlockMeans((self.means - centre) / half, self.factor)

    def shifted(self, x: Shaped[Tensor, "b c h w"]) -> Float64[Tensor, "b c h w"]:
        """The nearest items to x that have the means; blocks of unknown mean stay."""
        return self._in_blocks(x, lambda blocks: blocks + self._missing(blocks))

    def within(
        self, x: Shaped[Tensor, "b c h w"], low: float, high: float
    ) -> Float64[Tensor, "b c h w"]:
        """The nearest items to x that have the means and lie in [low, high].

        Args:
            x: items.
            low: the lowest number.
            high: the highest one; means beyond these are taken to be on them.
        """

        def nearest(blocks: Tensor) -> Tensor:
            below = low - blocks.amax(-1, keepdim=True)
            above = high - blocks.amin(-1, keepdim=True)

            for _ in range(_HALVINGS):
                middle = (below + above) / 2
                is_short = self._missing((blocks + middle).clamp(low, high)) > 0
                below = torch.where(is_short, middle, below)
                above = torch.where(is_short, above, middle)

            return (blocks + (below + above) / 2).clamp(low, high)

        return self._in_blocks(x, nearest)

    def rounded(self, x: Shaped[Tensor, "b c h w"]) -> Float64[Tensor, "b c h w"]:
        """Whole numbers at most 1 from x, whose sum over a block is that of the mean, rounded.

        Args:
            x: items that have the means; blocks of unknown mean are rounded to the nearest.
        """
        count = self.factor**2

        def by_remainder(blocks: Tensor) -> Tensor:
            floor = blocks.floor()
            missing = (self.means * count).round()[..., None] - floor.sum(-1, keepdim=True)

            order = (blocks - floor).argsort(dim=-1, descending=True, stable=True)
            rank = order.argsort(dim=-1)
            return floor + (rank < missing)

        return self._in_blocks(x, by_remainder, torch.round)

    def _missing(self, blocks: Tensor) -> Tensor:
        """The means less those of the blocks, (..., 1)."""
        return self.means[..., None] - blocks.mean(-1, keepdim=True)

    def _in_blocks(
        self,
        x: Tensor,
        change: Callable[[Tensor], Tensor],
        otherwise: Callable[[Tensor], Tensor] = torch.clone,
    ) -> Tensor:
        """The items with blocks of known mean changed, and those of unknown mean otherwise."""
        blocks = to_blocks(double(x), self.factor)
        known = ~self.means.isnan()[..., None]

        return from_blocks(torch.where(known, change(blocks), otherwise(blocks)), self.factor)


def block_means(x: Shaped[Tensor, "b c h w"], factor: int) -> Float64[Tensor, "b c y x"]:
    """The mean over each block of factor x factor pixels, in float64.

    Args:
        x: items, both sides multiples of the factor.
        factor: the sides of a block, in pixels.
    """
    return to_blocks(double(x), factor).mean(-1)


def to_blocks(x: Float[Tensor, "b c h w"], factor: int) -> Float[Tensor, "b c y x pixels"]:
    """The pixels of each block of factor x factor, row by row, as the last axis.

    Args:
        x: items, both sides multiples of the factor.
        factor: the sides of a block, in pixels.
    """
    rows: Tensor = x.unflatten(-1, (-1, factor)).unflatten(-3, (-1, factor))
    return rows.transpose(-2, -3).flatten(-2)


def from_blocks(blocks: Float[Tensor, "b c y x pixels"], factor: int) -> Float[Tensor, "b c h w"]:
    """The items of these blocks, the inverse of `to_blocks`.

    Args:
        blocks: their pixels, row by row.
        factor: the sides of a block, in pixels.
    """
    rows: Tensor = blocks.unflatten(-1, (factor, factor)).transpose(-2, -3)
    return rows.flatten(-4, -3).flatten(-2)
