"""The module by which a network reads text: an encoder that is trained along."""

from __future__ import annotations

from math import prod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .base import Conditioning, wrong_rows

_HEADS = 4
_CHANNELS, _CELL = 8, 4
"""Channels of the map of a text, and the side of its cells in pixels."""


class TextConditioning(Conditioning):
    """Adds a learned embedding of the text: a transformer layer over its words, and two means.

    Words have embeddings of their own and of their places; one layer of self-attention reads them
    (Vaswani et al. 2017). The means over the words of what goes into the layer and of what comes
    out of it, joined, are mapped to the embedding: a word says something alone, and something
    beside the others. For items with space they are mapped also to a coarse map, a cell for every
    4x4 pixels, which joins the features: a convolution does not know where it is, so a place in the
    text would be hard to follow by the embedding alone.

    Args:
        words: how many numbers a word may have; 0 is the end of a text.
        length: of a row.
        dim: width of the embedding.
        space: the axes of an item after its channels.
    """

    def __init__(self, words: int, length: int, dim: int, space: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.length = length
        width = -(-max(32, dim // 2) // _HEADS) * _HEADS
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))

        self.norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

        self.dim = dim
        self.channels = _CHANNELS if space else 0
        self.grid = tuple(-(-side // _CELL) for side in space)
        count = dim + self.channels * prod(self.grid)
        self.out = nn.Sequential(nn.Linear(2 * width, dim), nn.SiLU(), nn.Linear(dim, count))
        self.hidden = nn.Parameter(torch.randn(count))

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the text. ValueError for other rows."""
        if condition is None:
            return self._added(features, embedding, self.hidden.expand(len(features), -1))

        wanted = (features.shape[0], self.length)
        if condition.shape != wanted or condition.is_floating_point():
            raise ValueError(wrong_rows(condition, wanted, "numbers of words"))

        is_hidden = (condition < 0).all(1, keepdim=True)
        read = self._encoded(condition.clamp_min(0).long())
        return self._added(features, embedding, torch.where(is_hidden, self.hidden, read))

    def _added(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        read: Float[Tensor, "b count"],
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The embedding with the first numbers of `read`, the features with a map of the others."""
        embedding = embedding + read[:, : self.dim].to(embedding.dtype)
        if not self.channels:
            return features, embedding

        cells = read[:, self.dim :].reshape(-1, self.channels, *self.grid).to(features.dtype)
        space = list(features.shape[2:])
        return torch.cat([features, interpolate(cells, size=space)], dim=1), embedding

    def _encoded(self, numbers: Int64[Tensor, "b length"]) -> Float[Tensor, "b dim"]:
        """The embedding of each text."""
        known = numbers > 0
        known[:, 0] = True  # an empty text is its end alone
        h = self.words(numbers)

        read = h + self.places
        read = read + self.mix(self._attention(self.norm(read), known))
        read = read + self.layers(read)

        both = torch.cat([h, read], dim=2)
        weight = known.to(both.dtype)[..., None]
        out: Tensor = self.out((weight * both).sum(1) / weight.sum(1))
        return out

    def _attention(
        self, h: Float[Tensor, "b length width"], known: Bool[Tensor, "b length"]
    ) -> Float[Tensor, "b length width"]:
        """Attention, in four heads, to the words that are there."""
        query, key, value = (
            each.unflatten(2, (_HEADS, -1)).transpose(1, 2) for each in self.attend(h).chunk(3, 2)
        )
        mask = known[:, None, None]
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return mixed.transpose(1, 2).flatten(2)
