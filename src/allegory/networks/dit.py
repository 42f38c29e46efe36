"""A diffusion transformer (Peebles & Xie 2023, "Scalable Diffusion Models with Transformers").

An image is cut into patches, each a token with a fixed two-dimensional position. Blocks of
attention and of a two-layer perceptron follow, whose normalisations are scaled, shifted and gated
by the embedding of noise level and condition. All of these start from zero (adaLN-zero, section
3.2), so a new block is the identity and a new network returns 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..conditions import Condition
from ..numerics.dropout import Dropout
from .attention import Attention
from .embeddings import Inputs, modulate, places, zeroed
from .registry import NETWORKS, constructor


@dataclass(frozen=True)
class DiTConfig:
    """The choice of a diffusion transformer, with about 18 depth width² weights.

    Args:
        patch: side of a patch in pixels.
        width: units of a token, a multiple of 4.
        depth: the number of blocks.
        heads: attention heads, which divide the width.
        dropout: probability of dropping a unit.
        fourier: exponents n of the input features sin(2^n pi x), cos(2^n pi x).

    Raises:
        ValueError: for a number out of its range.
    """

    patch: int = 2
    width: int = 128
    depth: int = 4
    heads: int = 4
    dropout: float = 0.0
    fourier: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.patch, self.width, self.depth) < 1 or self.width % 4:
            raise ValueError(
                f"patch={self.patch}, width={self.width} and depth={self.depth} must be at least "
                "1, and the width a multiple of 4, for the sines and cosines of two coordinates"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network.

        Args:
            shape: (channels, height, width) of an item.
            condition: what it is conditioned on; None for nothing.
            outputs: output channels; None means those of the items.
        """
        return DiTModule(self, shape, condition, outputs)


class TransformerBlock(nn.Module):
    """Attention, then a perceptron, each h + gate · f(LayerNorm(h) (1 + scale) + shift).

    Args:
        width: units of a token.
        attention: among the tokens.
        dropout: probability of dropping a unit.
    """

    def __init__(self, width: int, attention: Attention, dropout: float = 0.0) -> None:
        super().__init__()
        self.film = zeroed(nn.Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = attention

        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.dropout = Dropout(dropout)

    def hidden_matrices(self) -> list[Tensor]:
        """The matrices between hidden features, for optimizers that treat them apart."""
        layers = (self.attention.qkv, self.attention.out, *self.layers)
        return [layer.weight for layer in layers if isinstance(layer, nn.Linear)]

    def forward(
        self, h: Float[Tensor, "b *others n c"], embedding: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b *others n c"]:
        """The tokens h after the block; shift, scale and gate come from the embedding.

        Attention is among the n tokens of each entry of the other axes.
        """
        film = per_token(self.film(embedding), h)
        shift1, scale1, gate1, shift2, scale2, gate2 = film.chunk(6, dim=-1)

        attended = self.attention(modulate(self.norm(h), shift1, scale1))
        h = h + gate1 * self.dropout(attended)

        out: Tensor = h + gate2 * self.dropout(self.layers(modulate(self.norm(h), shift2, scale2)))
        return out


class DiTModule(nn.Module):
    """A diffusion transformer, (x, log_snr, condition) -> (b, outputs, height, width).

    Args:
        config: its sizes.
        shape: (channels, height, width) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: output channels; None means those of the items.

    Raises:
        ValueError: for items that are no images, or a patch that does not divide their sides.
    """

    def __init__(
        self,
        config: DiTConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        rows, columns = patch_grid(shape, config.patch)
        self.config = config
        self.patch = config.patch
        self.grid = (rows, columns)

        self.inputs = Inputs(shape, config.width, config.fourier, condition)
        self.stem = nn.Linear(self.inputs.channels * config.patch**2, config.width)
        self.register_buffer("positions", positions(rows, columns, config.width), persistent=False)

        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, Attention(config.width, config.heads), config.dropout)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.film = zeroed(nn.Linear(config.width, 2 * config.width))
        self.head = zeroed(nn.Linear(config.width, (outputs or shape[0]) * config.patch**2))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs y x"]:
        """The output at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        tokens = pixel_unshuffle(features, self.patch).flatten(2).transpose(1, 2)
        h = self.stem(tokens) + self.positions

        for block in self.blocks:
            h = block(h, embedding)

        patches = self.head(adaptive_norm(h, self.norm, self.film(embedding)))
        return pixel_shuffle(patches.transpose(1, 2).unflatten(2, self.grid), self.patch)


def adaptive_norm(
    h: Float[Tensor, "b *others c"], norm: nn.LayerNorm, film: Float[Tensor, "b double"]
) -> Float[Tensor, "b *others c"]:
    """norm(h) (1 + scale) + shift (adaLN).

    Args:
        h: tokens of any number of axes.
        norm: of each token.
        film: shift and scale of each item, from its embedding.
    """
    shift, scale = per_token(film, h).chunk(2, dim=-1)
    return modulate(norm(h), shift, scale)


def per_token(
    features: Float[Tensor, "b c"], h: Float[Tensor, "b *others d"]
) -> Float[Tensor, "b *ones c"]:
    """Features of each item in a shape that broadcasts against its tokens.

    Args:
        features: one vector per item.
        h: tokens of any number of axes.
    """
    return features.reshape(len(features), *(1,) * (h.ndim - 2), -1)


def positions(rows: int, columns: int, width: int) -> Float[Tensor, "n width"]:
    """Fixed sinusoids of each patch's row and column (Peebles & Xie 2023, section 3.2).

    A half of the width is for the row and one for the column.

    Args:
        rows: patches per column.
        columns: patches per row.
        width: features per patch, a multiple of 4.
    """
    row = places(rows, width // 2)[:, None].expand(-1, columns, -1)
    column = places(columns, width // 2).expand(rows, -1, -1)
    return torch.cat([row, column], dim=2).flatten(0, 1)


def patch_grid(shape: Sequence[int], patch: int) -> tuple[int, int]:
    """The numbers of patches in height and width, for a shape (channels, height, width).

    Raises:
        ValueError: where the side `patch` does not divide both.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"shape={tuple(shape)} must be (channels, height, width); use an MLP (recipe "
            "arrays) for other data"
        )

    _, height, width = shape
    if height % patch or width % patch:
        raise ValueError(
            f"patch={patch} does not divide an image of {height}x{width}: choose a common divisor"
        )

    return height // patch, width // patch


DiT = constructor("DiT", DiTConfig)
NETWORKS.register("dit", DiTConfig, "diffusion transformer, for images (Peebles & Xie 2023)")
