"""A transformer over all places of an item: text, columns, small pictures.

Each place is a token; its features go through the blocks of the diffusion transformer (`dit.py`,
adaLN-zero). Attention knows differences of places by rotation (`attention.py`), and each place has
a learned vector as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..conditions import Condition
from .attention import Attention, rotations
from .block_transformer import BlockTransformerModule
from .dit import TransformerBlock, adaptive_norm
from .embeddings import Inputs, zeroed
from .registry import NETWORKS, constructor


@dataclass(frozen=True)
class TransformerConfig:
    """The choice of a transformer, with about 18 depth width² weights.

    Args:
        width: units of a token.
        depth: the number of blocks.
        heads: attention heads, which divide the width into even parts.
        dropout: probability of dropping a unit.
        kernel: places along each axis that a token sees before the first block, an odd number. More
            than 1 makes text and series learn much faster.

    Raises:
        ValueError: for a number out of its range.
    """

    width: int = 128
    depth: int = 4
    heads: int = 4
    dropout: float = 0.0
    kernel: int = 1

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"width={self.width}, depth={self.depth}, heads={self.heads}: give at least 1 of "
                "each, and a width that is a multiple of twice the heads"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel} must be odd, such as 1 or 7")

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network.

        Args:
            shape: (channels, *space) of an item, with one axis of space or more.
            condition: what it is conditioned on; None for nothing.
            outputs: output channels; None means those of the items.
        """
        return TransformerModule(self, shape, condition, outputs)

    def build_blocks(
        self,
        shape: tuple[int, ...],
        block: int,
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> nn.Module:
        """A new network of the blocks of a sequence (`block_transformer.py`).

        Args:
            shape: (channels, length) of a sequence.
            block: tokens of a block, which divides the length.
            condition: what it is conditioned on; None for nothing.
            outputs: output channels; None means those of the sequence.
        """
        return BlockTransformerModule(self, shape, block, condition, outputs)


class LocalStem(nn.Module):
    """A convolution over the places around each, (b, c, *space) -> (b, places, width).

    Args:
        channels: c.
        width: units of a token.
        kernel: places along each axis, odd.
        axes: of space, at most 3 where the kernel is more than 1.

    Raises:
        ValueError: for more axes.
    """

    def __init__(self, channels: int, width: int, kernel: int, axes: int) -> None:
        super().__init__()
        if kernel == 1:
            self.layer: nn.Module = nn.Linear(channels, width)
        elif axes > 3:
            raise ValueError(f"kernel={kernel}: is for 1 to 3 axes, and items have {axes}; give 1")
        else:
            kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
            self.layer = kind(channels, width, kernel, padding=kernel // 2)

    def forward(self, features: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n width"]:
        """One token for each place."""
        if isinstance(self.layer, nn.Linear):
            out: Tensor = self.layer(features.flatten(2).transpose(1, 2))
            return out
        out = self.layer(features)
        return out.flatten(2).transpose(1, 2)


class TransformerModule(nn.Module):
    """A transformer, (x, log_snr, condition) -> (b, outputs, *space).

    Args:
        config: its sizes.
        shape: (channels, *space) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: output channels; None means those of the items.

    Raises:
        ValueError: for items without an axis of space, or more axes than there are angles.
    """

    def __init__(
        self,
        config: TransformerConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        half = config.width // config.heads // 2
        if not 1 <= len(shape) - 1 <= half:
            raise ValueError(
                f"shape={tuple(shape)}: give (channels, *space), with one axis of space or more and"
                f" at most {half}; use an MLP for a row of numbers"
            )

        self.config = config
        self.inputs = Inputs(shape, config.width, (), condition)
        self.stem = LocalStem(self.inputs.channels, config.width, config.kernel, len(shape) - 1)
        self.places = nn.Parameter(0.02 * torch.randn(prod(shape[1:]), config.width))

        turns = rotations(shape[1:], half)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.width, Attention(config.width, config.heads, turns), config.dropout
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.film = zeroed(nn.Linear(config.width, 2 * config.width))
        self.head = zeroed(nn.Linear(config.width, outputs or shape[0]))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs *space"]:
        """The output at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        h = self.stem(features) + self.places
        for block in self.blocks:
            h = block(h, embedding)

        out: Tensor = self.head(adaptive_norm(h, self.norm, self.film(embedding))).transpose(1, 2)
        each: Tensor = out.unflatten(2, x.shape[2:])
        return each


Transformer = constructor("Transformer", TransformerConfig)
NETWORKS.register(
    "transformer", TransformerConfig, "transformer over all places, for text and tokens"
)
