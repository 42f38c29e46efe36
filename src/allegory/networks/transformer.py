"""A transformer over all places of an item: text, columns, small pictures.

Each place is a token; its features go through blocks of attention and of a two-layer perceptron,
those of the diffusion transformer (`dit.py`, adaLN-zero). Attention knows places by rotation (Su et
al. 2021, "RoFormer"): queries and keys are turned by angles that are proportional to their place,
so that their products depend on differences of places. With several axes of space, each has its
share of the angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..conditions import Condition
from ..numerics.dropout import Dropout
from .embeddings import Inputs, modulate, zeroed
from .registry import NETWORKS, constructor

_LONGEST = 10_000.0
"""The longest wavelength of a rotation, over 2 pi."""


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


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotated queries and keys, (b, n, c) -> (b, n, c).

    Args:
        channels: c.
        heads: the number of heads.
        causal: whether a token sees only those before it, and itself.
    """

    def __init__(self, channels: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(
        self, tokens: Float[Tensor, "b n c"], turns: Float[Tensor, "2 n half"]
    ) -> Float[Tensor, "b n c"]:
        """Attention of every token to all tokens of its item.

        Args:
            tokens: the features.
            turns: cosine and sine of the angle of each place, from `rotations`.
        """
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(
            rotated(q, turns), rotated(k, turns), v, is_causal=self.causal
        )
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class RotaryBlock(nn.Module):
    """Attention, then a perceptron, each h + gate · f(LayerNorm(h) (1 + scale) + shift).

    Args:
        config: of the network.
        causal: whether a token sees only those before it, and itself.
    """

    def __init__(self, config: TransformerConfig, causal: bool = False) -> None:
        super().__init__()
        width = config.width
        self.film = zeroed(nn.Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = RotaryAttention(width, config.heads, causal)

        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        h: Float[Tensor, "b n c"],
        embedding: Float[Tensor, "b c"],
        turns: Float[Tensor, "2 n half"],
    ) -> Float[Tensor, "b n c"]:
        """The tokens h after the block.

        Args:
            h: the tokens.
            embedding: of the noise level and the condition; shift, scale and gate come from it.
            turns: from `rotations`.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.film(embedding)[:, None].chunk(6, dim=2)

        attended = self.attention(modulate(self.norm(h), shift1, scale1), turns)
        h = h + gate1 * self.dropout(attended)

        out: Tensor = h + gate2 * self.dropout(self.layers(modulate(self.norm(h), shift2, scale2)))
        return out


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

    turns: Tensor

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
        self.register_buffer("turns", rotations(shape[1:], half), persistent=False)
        self.places = nn.Parameter(0.02 * torch.randn(prod(shape[1:]), config.width))

        self.blocks = nn.ModuleList(RotaryBlock(config) for _ in range(config.depth))
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
            h = block(h, embedding, self.turns)

        shift, scale = self.film(embedding)[:, None].chunk(2, dim=2)
        out: Tensor = self.head(modulate(self.norm(h), shift, scale)).transpose(1, 2)
        each: Tensor = out.unflatten(2, x.shape[2:])
        return each


def rotations(space: Sequence[int], half: int) -> Float[Tensor, "2 n half"]:
    """Cosine and sine of the angles p 10000^(-k/m), k = 0..m-1, of each place p along each axis.

    Args:
        space: the sizes of the axes.
        half: pairs of features, divided among the axes.
    """
    places = torch.tensor([*product(*map(range, space))], dtype=torch.float64)
    sizes = [len(part) for part in torch.arange(half).tensor_split(len(space))]
    angles = [
        places[:, axis, None] * _LONGEST ** -(torch.arange(size, dtype=torch.float64) / size)
        for axis, size in enumerate(sizes)
    ]
    angle = torch.cat(angles, 1)

    return torch.stack([angle.cos(), angle.sin()]).float()


def rotated(
    x: Float[Tensor, "b heads n c"], turns: Float[Tensor, "2 n half"]
) -> Float[Tensor, "b heads n c"]:
    """Each pair of features turned by the angle of its place.

    Args:
        x: queries or keys.
        turns: from `rotations`.
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = turns.to(x)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


Transformer = constructor("Transformer", TransformerConfig)
NETWORKS.register(
    "transformer", TransformerConfig, "transformer over all places, for text and tokens"
)
