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

    Raises:
        ValueError: for a number out of its range.
    """

    width: int = 128
    depth: int = 4
    heads: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"width={self.width}, depth={self.depth}, heads={self.heads}: give at least 1 of "
                "each, and a width that is a multiple of twice the heads"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")

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
        self.stem = nn.Linear(self.inputs.channels, config.width)
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
        h = self.stem(features.flatten(2).transpose(1, 2)) + self.places
        for block in self.blocks:
            h = block(h, embedding)

        out: Tensor = self.head(adaptive_norm(h, self.norm, self.film(embedding))).transpose(1, 2)
        each: Tensor = out.unflatten(2, x.shape[2:])
        return each


Transformer = constructor("Transformer", TransformerConfig)
NETWORKS.register(
    "transformer", TransformerConfig, "transformer over all places, for text and tokens"
)
