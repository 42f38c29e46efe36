"""A U-Net of residual blocks (Ronneberger et al. 2015; Ho et al. 2020, appendix B) for images of 8x8 to
64x64.

The picture passes down through levels of half the size and more channels, and up again, each block on the way
up seeing the output of its mirror image on the way down. Three choices keep it fast on a CPU
(benchmarks/NOTES.md): sizes change by averaging and by repeating pixels, with any change of channels done at
the smaller size; attention works on tokens with linear layers; and normalisation is per item and per group of
channels, which also keeps a sample its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from .attention import Attention
from .condition import Condition
from .embeddings import Inputs, modulate, zeroed
from .registry import NETWORKS, constructor


@dataclass(frozen=True)
class UNetConfig:
    """The choice of a U-Net.

    Level i has channels · multipliers[i] channels and `blocks` residual blocks each way; attention runs at
    the levels whose longer side is listed; `fourier` are the exponents n of the input's features sin, cos(2^n
    pi x). The last convolution has a kernel of `head` x `head`: 1 where the outputs are many, as logits are.

    Weights: 2.7 million by default, 0.4 million with 32 channels and 1 block.
    """

    channels: int = 64
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 2
    attention: tuple[int, ...] = (8,)
    heads: int = 2
    dropout: float = 0.0
    fourier: tuple[int, ...] = ()
    head: int = 3

    def __post_init__(self) -> None:
        if not self.multipliers or min(self.channels, self.blocks, *self.multipliers) < 1:
            raise ValueError(
                f"channels={self.channels}, blocks={self.blocks} and each of multipliers={self.multipliers} "
                "must be at least 1"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")
        if self.head < 1 or self.head % 2 == 0:
            raise ValueError(
                f"head={self.head} must be odd, so that the kernel has a middle: 3, or 1"
            )

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network for items of this shape; `outputs`: its output channels, if not theirs."""
        return UNetModule(self, shape, condition, outputs)


class ResBlock(nn.Module):
    """skip(h) + conv(dropout(silu(norm(conv(silu(norm(h)))) (1 + scale) + shift))), the last conv zero."""

    def __init__(self, inner: int, outer: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = group_norm(inner)
        self.conv = nn.Conv2d(inner, outer, 3, padding=1)
        self.film = zeroed(nn.Linear(dim, 2 * outer))
        self.inner_norm = group_norm(outer)
        self.dropout = nn.Dropout(dropout)
        self.last = zeroed(nn.Conv2d(outer, outer, 3, padding=1))
        self.skip = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        shift, scale = self.film(embedding)[..., None, None].chunk(2, dim=1)
        inside = self.conv(silu(self.norm(h)))
        inside = silu(modulate(self.inner_norm(inside), shift, scale))
        out: Tensor = self.skip(h) + self.last(self.dropout(inside))
        return out


class PixelAttention(nn.Module):
    """h + attention among the pixels of GroupNorm(h), its last layer zero."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.attention = Attention(channels, heads)
        zeroed(self.attention.out)

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        tokens = self.attention(self.norm(h).flatten(2).transpose(1, 2))
        out: Tensor = h + tokens.transpose(1, 2).view_as(h)
        return out


class Stage(nn.Module):
    """A residual block, then attention where this level has it."""

    def __init__(self, config: UNetConfig, inner: int, outer: int, size: int) -> None:
        super().__init__()
        self.block = ResBlock(inner, outer, embedding_width(config), config.dropout)
        self.attention = (
            PixelAttention(outer, config.heads) if size in config.attention else nn.Identity()
        )

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        out: Tensor = self.attention(self.block(h, embedding))
        return out


class Level(nn.Module):
    """One size: stages down, what happens at the next smaller size, and stages up that see those down."""

    def __init__(
        self, config: UNetConfig, inner: int, widths: Sequence[int], sizes: Sequence[int]
    ) -> None:
        super().__init__()
        width, size = widths[0], sizes[0]
        entering = [inner] + [width] * (config.blocks - 1)
        self.down = nn.ModuleList(Stage(config, channels, width, size) for channels in entering)
        self.inside: Smaller | Stage = (
            Smaller(config, widths, sizes) if len(widths) > 1 else Stage(config, width, width, size)
        )
        self.up = nn.ModuleList(Stage(config, 2 * width, width, size) for _ in entering)

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        passed = []
        for stage in self.down:
            h = stage(h, embedding)
            passed.append(h)
        h = self.inside(h, embedding)
        for stage in self.up:
            h = stage(torch.cat([h, passed.pop()], dim=1), embedding)
        return h


class Smaller(nn.Module):
    """The next level at half the size: 2x2 means, the level, a 1x1 convolution, each pixel repeated."""

    def __init__(self, config: UNetConfig, widths: Sequence[int], sizes: Sequence[int]) -> None:
        super().__init__()
        self.level = Level(config, widths[0], widths[1:], sizes[1:])
        self.narrow = nn.Conv2d(widths[1], widths[0], 1)

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b c y x"]:
        inside = self.narrow(self.level(avg_pool2d(h, 2), embedding))
        return interpolate(inside, scale_factor=2)


class UNetModule(nn.Module):
    """(x, log_snr, condition) -> (b, outputs, height, width), for x of shape (b, channels, height, width)."""

    def __init__(
        self,
        config: UNetConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        sizes = level_sizes(shape, len(config.multipliers))
        widths = [config.channels * m for m in config.multipliers]
        self.inputs = Inputs(shape, embedding_width(config), config.fourier, condition)
        self.stem = nn.Conv2d(self.inputs.channels, widths[0], 3, padding=1)
        self.level = Level(config, widths[0], widths, sizes)
        self.norm = group_norm(widths[0])
        self.head = zeroed(
            nn.Conv2d(widths[0], outputs or shape[0], config.head, padding=config.head // 2)
        )

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, " b"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs y x"]:
        features, embedding = self.inputs(x, log_snr, condition)
        h = self.level(self.stem(features), embedding)
        out: Tensor = self.head(silu(self.norm(h)))
        return out


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm in 8 groups, or in as many as divide both 8 and the channels: statistics of one item only."""
    return nn.GroupNorm(gcd(8, channels), channels)


def embedding_width(config: UNetConfig) -> int:
    """The width of the embedding of level and condition, 4 times the channels (Ho et al. 2020)."""
    return 4 * config.channels


def level_sizes(shape: Sequence[int], levels: int) -> list[int]:
    """The longer side of the picture at each level; ValueError where a side cannot be halved often enough."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"shape={tuple(shape)} must be (channels, height, width); use an MLP for other data"
        )
    _, height, width = shape
    step = 2 ** (levels - 1)
    if height % step or width % step:
        raise ValueError(
            f"a picture of {height}x{width} cannot be halved {levels - 1} times, as {levels} multipliers "
            f"ask: use fewer multipliers, or pad it to {-(-height // step) * step}x{-(-width // step) * step}"
        )
    return [max(height, width) // 2**level for level in range(levels)]


UNet = constructor("UNet", UNetConfig)
NETWORKS.register(
    "unet",
    UNetConfig,
    "U-Net of residual blocks, for images of 8x8 to 64x64 (Ronneberger et al. 2015; Ho et al. 2020)",
)
