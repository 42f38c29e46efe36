"""Blocks of the U-Net at one resolution: residual convolutions, attention in and among images."""

from __future__ import annotations

from math import gcd

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from ..numerics.dropout import Dropout
from .attention import Attention
from .embeddings import modulate, places, zeroed


class ResBlock(nn.Module):
    """skip(h) + conv(dropout(silu(norm(conv(silu(norm(h)))) (1 + scale) + shift))).

    The last convolution is zero at first, and scale and shift come from the embedding.

    Args:
        inner: input channels.
        outer: output channels.
        dim: width of the embedding.
        dropout: probability of dropping a unit.
    """

    def __init__(self, inner: int, outer: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = group_norm(inner)
        self.conv = nn.Conv2d(inner, outer, 3, padding=1)
        self.film = zeroed(nn.Linear(dim, 2 * outer))
        self.inner_norm = group_norm(outer)
        self.dropout = Dropout(dropout)
        self.last = zeroed(nn.Conv2d(outer, outer, 3, padding=1))
        self.skip = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        """The features h after the block; shift and scale come from the embedding."""
        shift, scale = self.film(embedding)[..., None, None].chunk(2, dim=1)

        inside = self.conv(silu(self.norm(h)))
        inside = silu(modulate(self.inner_norm(inside), shift, scale))
        out: Tensor = self.skip(h) + self.last(self.dropout(inside))
        return out


class PixelAttention(nn.Module):
    """h + attention among the pixels of GroupNorm(h), its last layer zero.

    Args:
        channels: of h.
        heads: attention heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.attention = Attention(channels, heads)
        zeroed(self.attention.out)

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """The features h after attention."""
        tokens = self.attention(self.norm(h).flatten(2).transpose(1, 2))
        out: Tensor = h + tokens.transpose(1, 2).view_as(h)
        return out


class FrameAttention(nn.Module):
    """h + attention among the frames of GroupNorm(h), at each place alone; its last layer zero.

    Args:
        channels: of h, even.
        heads: attention heads.
        frames: of an item; they follow each other in the batch.
    """

    places: Tensor

    def __init__(self, channels: int, heads: int, frames: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.attention = Attention(channels, heads)
        zeroed(self.attention.out)
        self.register_buffer("places", places(frames, channels), persistent=False)

    def forward(self, h: Float[Tensor, "bt c y x"]) -> Float[Tensor, "bt c y x"]:
        """The features h of all frames after attention."""
        by_item = self.norm(h).flatten(2).unflatten(0, (-1, len(self.places)))  # (b, t, c, places)
        tokens = self.attention(by_item.permute(0, 3, 1, 2) + self.places)
        out: Tensor = h + tokens.permute(0, 2, 3, 1).reshape(h.shape)
        return out


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm in 8 groups, or in as many as divide both 8 and the channels."""
    return nn.GroupNorm(gcd(8, channels), channels)
