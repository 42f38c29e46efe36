"""A U-Net of residual blocks, for images of 8x8 to 64x64.

It follows Ronneberger et al. 2015 and Ho et al. 2020, appendix B. The image passes down through
resolutions of half the size and more channels, and up again, and each block on the way up sees the
output of its mirror image on the way down. Three choices make it fast on a CPU
(benchmarks/NOTES.md): sizes change by averaging and by repeating pixels, with any change of
channels at the smaller size; attention works on tokens with linear layers; and normalisation is per
item and per group of channels, so an item does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from ..conditions import Condition
from .embeddings import Inputs, zeroed
from .registry import NETWORKS, constructor
from .unet_blocks import FrameAttention, PixelAttention, ResBlock, group_norm


@dataclass(frozen=True)
class UNetConfig:
    """The choice of a U-Net: 2.7 million weights by default, 0.4 with 32 channels and 1 block.

    Args:
        channels: channels at the full resolution.
        multipliers: resolution i is 2^i times smaller and has channels · multipliers[i] channels.
        blocks: residual blocks per resolution, each way.
        attention: the resolutions with attention, by the longer side of the image there.
        heads: attention heads.
        dropout: probability of dropping a unit.
        fourier: exponents n of the input features sin(2^n pi x), cos(2^n pi x).
        head: kernel of the last convolution, odd: 1 where the outputs are many, as logits are.

    Raises:
        ValueError: for a number out of its range.
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
                f"channels={self.channels}, blocks={self.blocks} and each of "
                f"multipliers={self.multipliers} must be at least 1"
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
        """A new network.

        Args:
            shape: (channels, height, width) of an item.
            condition: what it is conditioned on; None for nothing.
            outputs: output channels; None means those of the items.
        """
        return UNetModule(self, shape, condition, outputs)


@dataclass(frozen=True)
class OverTime:
    """Attention over time among images that are the frames of an item.

    Args:
        frames: of an item.
        sizes: the resolutions with it, by the longer side of the image there.
    """

    frames: int = 1
    sizes: tuple[int, ...] = ()


class Stage(nn.Module):
    """A residual block, then attention in the image and over time, where this resolution has it.

    Args:
        config: of the network.
        inner: input channels.
        outer: output channels.
        size: longer side of the image here.
        time: attention over time; none by default.
    """

    def __init__(
        self,
        config: UNetConfig,
        inner: int,
        outer: int,
        size: int,
        time: OverTime = OverTime(),
    ) -> None:
        super().__init__()
        self.block = ResBlock(inner, outer, embedding_width(config), config.dropout)
        self.attention = (
            PixelAttention(outer, config.heads) if size in config.attention else nn.Identity()
        )
        self.over_time = (
            FrameAttention(outer, config.heads, time.frames)
            if size in time.sizes
            else nn.Identity()
        )

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        """The features h after the stage, given the embedding."""
        out: Tensor = self.over_time(self.attention(self.block(h, embedding)))
        return out


class Resolution(nn.Module):
    """One size: stages down, the smaller sizes, and stages up that see those down.

    Args:
        config: of the network.
        inner: input channels.
        widths: channels at this size and at each smaller one.
        sizes: longer side of the image at this size and at each smaller one.
        time: attention over time; none by default.
    """

    def __init__(
        self,
        config: UNetConfig,
        inner: int,
        widths: Sequence[int],
        sizes: Sequence[int],
        time: OverTime = OverTime(),
    ) -> None:
        super().__init__()
        width = widths[0]
        size = sizes[0]
        self.down = nn.ModuleList(
            Stage(config, width if index else inner, width, size, time)
            for index in range(config.blocks)
        )
        self.inside: Smaller | Stage = (
            Smaller(config, widths, sizes, time)
            if len(widths) > 1
            else Stage(config, width, width, size, time)
        )
        self.up = nn.ModuleList(
            Stage(config, 2 * width, width, size, time) for _ in range(config.blocks)
        )

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b d y x"]:
        """The features h after this size and all smaller ones, given the embedding."""
        passed = []
        for stage in self.down:
            h = stage(h, embedding)
            passed.append(h)

        h = self.inside(h, embedding)

        for stage in self.up:
            h = stage(torch.cat([h, passed.pop()], dim=1), embedding)

        return h


class Smaller(nn.Module):
    """The next resolution: 2x2 means, the resolution, a 1x1 convolution, each pixel repeated.

    Args:
        config: of the network.
        widths: channels at the size above and at each smaller one.
        sizes: longer side of the image at the size above and at each smaller one.
        time: attention over time.
    """

    def __init__(
        self, config: UNetConfig, widths: Sequence[int], sizes: Sequence[int], time: OverTime
    ) -> None:
        super().__init__()
        self.level = Resolution(config, widths[0], widths[1:], sizes[1:], time)
        self.narrow = nn.Conv2d(widths[1], widths[0], 1)

    def forward(
        self, h: Float[Tensor, "b c y x"], embedding: Float[Tensor, "b dim"]
    ) -> Float[Tensor, "b c y x"]:
        """The features h after the smaller sizes, given the embedding."""
        inside = self.narrow(self.level(avg_pool2d(h, 2), embedding))
        return interpolate(inside, scale_factor=2)


class UNetModule(nn.Module):
    """A U-Net, (x, log_snr, condition) -> (b, outputs, height, width).

    Args:
        config: its sizes.
        shape: (channels, height, width) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: output channels; None means those of the items.

    Raises:
        ValueError: for items that are no images, or cannot be halved often enough.
    """

    def __init__(
        self,
        config: UNetConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        sizes = resolutions(shape, len(config.multipliers))
        widths = [config.channels * m for m in config.multipliers]

        self.inputs = Inputs(shape, embedding_width(config), config.fourier, condition)
        self.stem = nn.Conv2d(self.inputs.channels, widths[0], 3, padding=1)
        self.level = Resolution(config, widths[0], widths, sizes)
        self.norm = group_norm(widths[0])
        self.head = zeroed(
            nn.Conv2d(widths[0], outputs or shape[0], config.head, padding=config.head // 2)
        )

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
        h = self.level(self.stem(features), embedding)
        out: Tensor = self.head(silu(self.norm(h)))
        return out


def embedding_width(config: UNetConfig) -> int:
    """Width of the embedding for this config, 4 times the channels (Ho et al. 2020)."""
    return 4 * config.channels


def resolutions(shape: Sequence[int], count: int) -> list[int]:
    """The longer side of an image with this shape at `count` resolutions.

    Raises:
        ValueError: for other shapes than (channels, height, width), or sides that are odd too soon.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"shape={tuple(shape)} must be (channels, height, width); use an MLP (recipe "
            "arrays) for other data"
        )

    _, height, width = shape
    step = 2 ** (count - 1)
    if height % step or width % step:
        padded = f"{-(-height // step) * step}x{-(-width // step) * step}"
        raise ValueError(
            f"an image of {height}x{width} cannot be halved {count - 1} times, as {count} "
            f"multipliers ask: use fewer multipliers, or pad it to {padded}"
        )

    return [max(height, width) // 2**i for i in range(count)]


UNet = constructor("UNet", UNetConfig)
NETWORKS.register(
    "unet", UNetConfig, "U-Net of residual blocks, for images of 8x8 to 64x64 (Ho et al. 2020)"
)
