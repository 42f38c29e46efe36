"""A transformer that predicts all blocks of a sequence, each given the clean blocks before it.

It takes each sequence twice, clean and noisy (Arriola et al. 2025, "Block Diffusion", section 3.2).
A clean token attends to the clean tokens of its own block and of those before; a noisy token to the
clean tokens of the blocks before its own, and to the noisy ones of its own block. So one evaluation
gives what n evaluations would, in each of which one block is noisy and those after it are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from ..conditions import Condition
from .attention import Attention, rotations
from .dit import TransformerBlock, adaptive_norm
from .embeddings import Inputs, zeroed

if TYPE_CHECKING:
    from .transformer import TransformerConfig


class BlockAttention(Attention):
    """Attention among the clean and the noisy tokens of a sequence, (b, 2L, c) -> (b, 2L, c).

    Args:
        channels: c.
        heads: the number of heads, which divides c.
        length: L.
        block: tokens of a block, which divides L.
    """

    of_clean: Tensor
    of_noisy: Tensor

    def __init__(self, channels: int, heads: int, length: int, block: int) -> None:
        turns = rotations((length,), channels // heads // 2)
        super().__init__(channels, heads, torch.cat([turns, turns], 1))
        index = torch.arange(length) // block
        own, other = index[:, None], index[None]
        self.register_buffer("of_clean", other <= own, persistent=False)
        self.register_buffer(
            "of_noisy", torch.cat([other < own, other == own], 1), persistent=False
        )

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "b heads n d"]:
        """The values v, mixed by the softmax of the products of q and k that are allowed."""
        (q0, q_t), (k0, _), (v0, _) = (each.chunk(2, dim=-2) for each in (q, k, v))
        clean = scaled_dot_product_attention(q0, k0, v0, attn_mask=self.of_clean)
        noisy = scaled_dot_product_attention(q_t, k, v, attn_mask=self.of_noisy)
        return torch.cat([clean, noisy], dim=-2)


class BlockStem(nn.Module):
    """A convolution over each token and its neighbours that it may see, (b, c, 2L) -> (b, 2L, w).

    The neighbours before a block are clean, and those after it are absent.

    Args:
        channels: c.
        width: w.
        kernel: tokens that one output sees, odd.
        block: tokens of a block.
    """

    def __init__(self, channels: int, width: int, kernel: int, block: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, width, kernel)
        self.block, self.side = block, kernel // 2

    def forward(self, features: Float[Tensor, "b c n"]) -> Float[Tensor, "b n w"]:
        """The outputs, clean and noisy."""
        clean, noisy = features.chunk(2, dim=-1)
        windows = pad(clean, (self.side, 0)).unfold(-1, self.side, self.block)
        starts = windows[..., : clean.shape[-1] // self.block, :]
        return torch.cat([self._rows(starts, each) for each in (clean, noisy)], 1)

    def _rows(
        self, starts: Float[Tensor, "b c blocks side"], own: Float[Tensor, "b c length"]
    ) -> Float[Tensor, "b length w"]:
        """The outputs of blocks whose clean neighbours on the left are given."""
        blocks = torch.cat([starts, own.unflatten(-1, (-1, self.block))], -1)
        blocks = pad(blocks, (0, self.side))
        each = self.convolution(blocks.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(own), -1))
        out: Tensor = each.transpose(2, 3).flatten(1, 2)
        return out


class BlockTransformerModule(nn.Module):
    """A transformer of blocks, (clean and noisy, log_snr, condition) -> (b, outputs, length).

    Args:
        config: its sizes.
        shape: (channels, length) of a sequence.
        block: tokens of a block, which divides the length.
        condition: what it is conditioned on; None for nothing.
        outputs: output channels; None means those of the sequence.

    Raises:
        ValueError: for items that are no sequences.
    """

    def __init__(
        self,
        config: TransformerConfig,
        shape: tuple[int, ...],
        block: int,
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        if len(shape) != 2:
            raise ValueError(
                f"block={block}: is for sequences, and an item has {len(shape) - 1} axes; leave "
                "block out"
            )
        channels, length = shape
        width = config.width

        self.config = config
        self.inputs = Inputs((channels, 2 * length), width, (), condition)
        self.stem = BlockStem(self.inputs.channels, width, config.kernel, block)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))

        self.blocks = nn.ModuleList(
            TransformerBlock(
                width, BlockAttention(width, config.heads, length, block), config.dropout
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = zeroed(nn.Linear(width, 2 * width))
        self.head = zeroed(nn.Linear(width, outputs or channels))

    def forward(
        self,
        x: Float[Tensor, "b channels both"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs length"]:
        """The output for the noisy tokens.

        Args:
            x: the clean tokens and then the noisy ones, (b, channels, 2L).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        h = self.stem(features) + torch.cat([self.places, self.places])
        for block in self.blocks:
            h = block(h, embedding)

        noisy = h.chunk(2, dim=1)[1]
        out: Tensor = self.head(adaptive_norm(noisy, self.norm, self.film(embedding)))
        return out.transpose(1, 2)
