r"""Tokens that are masked block after block (Arriola et al. 2025, "Block Diffusion").

A sequence of L tokens is n blocks of B. Going up in t the last block is masked first, then the one
before it, each in 1/n of the time:

    1 - alpha_i(t) = clamp(n t - (n - 1 - b_i), 0, 1)       b_i = 0..n-1 is the block of token i

so the reverse process reveals the first block, then the second given the first, and so on. It is
MaskedPath with a clock for each block, and its bound is the sum of the bounds of the blocks, each
given the clean blocks before it. B = L is MaskedPath; B = 1 has a single order, left to right, and
is the autoregressive model.

A network that sees the clean tokens of the blocks before and the noisy ones of its own block gives
the terms of all blocks in one evaluation.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ...lookup import check_count
from ...numerics.sequences import GOLDEN
from .masked import MaskedPath
from .path import TokenLevel, TokenPrediction


class BlockMaskedPath(MaskedPath):
    """Blocks of tokens are masked one after another, the last first.

    Args:
        values: K.
        length: L, tokens of a sequence.
        block: B, tokens of a block.

    Raises:
        ValueError: for a block that does not divide the length.
    """

    index: Tensor

    def __init__(self, values: int, length: int, block: int) -> None:
        super().__init__(values)
        check_count("block", block, 1, length)
        if length % block:
            raise ValueError(
                f"block={block}: does not divide the {length} tokens of a sequence; give a divisor,"
                " or windows of another length (?window=...)"
            )
        self.length, self.block = length, block
        self.register_buffer("index", torch.arange(length) // block, persistent=False)

    @property
    def blocks(self) -> int:
        """n, the number of blocks."""
        return self.length // self.block

    def at(
        self, t: Tensor | float | TokenLevel, like: Int64[Tensor, "b length"] | None = None
    ) -> TokenLevel:
        """The Level at a time, with one alpha for each token.

        Args:
            t: from 0 to 1, one number or one per item; a Level is returned as it is.
            like: tokens that the Level shall broadcast against, for one time per item.

        Raises:
            ValueError: for times outside of [0, 1].
        """
        level = super().at(t, like)
        if level is t:
            return level

        clock = self.blocks * torch.as_tensor(level.t) - (self.blocks - 1 - self.index).double()
        noise = clock.clamp(0, 1)
        slope = torch.where((clock > 0) & (clock <= 1), -float(self.blocks), 0.0)
        return TokenLevel(self, level.t, 1 - noise, noise, slope.double())

    def in_order(self, u: Float64[Tensor, "b length"]) -> Float64[Tensor, "b length"]:
        """Numbers whose rising order is one of revealing: blocks first, then by u in [0, 1)."""
        return u + self.index.to(u)


@runtime_checkable
class PredictsBlocks(Protocol):
    """A predictor of tokens that are masked block after block, all blocks in one evaluation."""

    @property
    def path(self) -> BlockMaskedPath:
        """The forward process."""
        ...

    def all_blocks(
        self,
        x_t: Int64[Tensor, "b length"],
        x0: Int64[Tensor, "b length"],
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """The prediction of each block from its noisy tokens and the clean blocks before it."""
        ...


def block_loss(
    predict: PredictsBlocks,
    x0: Int64[Tensor, "b length"],
    time: Float64[Tensor, " b"],
    u: Float64[Tensor, "b length"],
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """One unbiased draw of the divergences of all blocks, in nats per item.

    In each block m of its B tokens are masked, m uniform in 1..B, and its term is B/m times the
    -log p of those that are masked (`bound_terms`).

    Args:
        predict: the predictor, with its path.
        x0: clean tokens.
        time: one number in [0, 1) per item; from it the m of its blocks follow, evenly spread.
        u: uniform numbers in [0, 1), one per token.
        condition: one row per item, or None.
    """
    path = predict.path
    each = (time[:, None] + GOLDEN * torch.arange(path.blocks, device=time.device)) % 1
    count = (each * path.block).floor() + 1

    ranks = u.unflatten(1, (path.blocks, path.block)).argsort(-1).argsort(-1)
    masked = (ranks < count[..., None]).flatten(1)
    x_t = torch.where(masked, path.mask, x0)
    nats = path.masked_nats(predict.all_blocks(x_t, x0, condition), x0)
    terms: Tensor = nats.unflatten(1, (path.blocks, path.block)).sum(-1) * path.block / count
    return terms.sum(1)
