"""Residual convolutions without a level of noise: what encoders and decoders are made of.

The only statistics are those of one item (GroupNorm), so a sample is its own. Sizes change by moving pixels into channels
and back (Shi et al. 2016): a picture is read at half its size or less from the first convolution on, where a CPU is fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from .embeddings import zeroed
from .unet import group_norm


class Residual(nn.Module):
    """h + conv(silu(norm(conv(silu(norm(h)))))), the last convolution zero: a new block is the identity.

    He et al. 2016, "Identity mappings in deep residual networks".
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(group_norm(channels) for _ in range(2))
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        inside = self.first(silu(self.norms[0](h)))
        out: Tensor = h + self.last(silu(self.norms[1](inside)))
        return out


def residuals(channels: int, count: int) -> nn.Sequential:
    """So many residual blocks, one after another."""
    return nn.Sequential(*(Residual(channels) for _ in range(count)))


class Output(nn.Module):
    """A 1x1 convolution of silu(norm(h)), zero at first if asked."""

    def __init__(self, channels: int, outputs: int, zero: bool = True) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        conv = nn.Conv2d(channels, outputs, 1)
        self.conv = zeroed(conv) if zero else conv

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs y x"]:
        out: Tensor = self.conv(silu(self.norm(h)))
        return out


class Down(nn.Module):
    """Blocks of `factor` x `factor` pixels become channels, then a convolution to `outer` channels."""

    def __init__(self, inner: int, outer: int, factor: int = 2) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(factor)
        self.conv = nn.Conv2d(
            inner * factor**2, outer, 3 if factor > 1 else 1, padding=1 if factor > 1 else 0
        )

    def forward(self, h: Float[Tensor, "b inner y x"]) -> Float[Tensor, "b outer y2 x2"]:
        out: Tensor = self.conv(self.unshuffle(h))
        return out


class Up(nn.Module):
    """A 1x1 convolution, then channels become blocks of `factor` x `factor` pixels."""

    def __init__(self, inner: int, outer: int, factor: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer * factor**2, 1)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, h: Float[Tensor, "b inner y x"]) -> Float[Tensor, "b outer y2 x2"]:
        out: Tensor = self.shuffle(self.conv(h))
        return out


class Flatten(nn.Module):
    """A picture to the channels of a single pixel: a linear layer over all of silu(norm(h)), zero at first if asked.

    The layer's weights are as large as if it saw one pixel, and their sum is divided by the root of the number of pixels:
    a step of the optimizer, which moves every weight alike, then moves the outputs by as much less.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, zero: bool = True
    ) -> None:
        super().__init__()
        self.norm, self.pixels = group_norm(channels), size[0] * size[1]
        linear = nn.Linear(channels * self.pixels, outputs)
        self.linear = zeroed(linear) if zero else _enlarged(linear, self.pixels)

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs 1 1"]:
        out: Tensor = self.linear(silu(self.norm(h)).flatten(1))[..., None, None]
        return out / math.sqrt(self.pixels)


class Unflatten(nn.Module):
    """A single pixel to a picture: a linear layer, enlarged and divided as that of `Flatten`."""

    def __init__(self, inputs: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape, self.pixels = (channels, *size), size[0] * size[1]
        self.linear = _enlarged(nn.Linear(inputs, channels * self.pixels), self.pixels)

    def forward(self, z: Float[Tensor, "b inputs 1 1"]) -> Float[Tensor, "b c y x"]:
        out: Tensor = self.linear(z.flatten(1)).unflatten(1, self.shape)
        return out / math.sqrt(self.pixels)


@torch.no_grad()
def _enlarged(linear: nn.Linear, pixels: int) -> nn.Linear:
    for parameter in linear.parameters():
        parameter.mul_(math.sqrt(pixels))
    return linear


class PictureEncoder(nn.Module):
    """A picture to a vector: half its size, a quarter, a kernel over it; `blocks` residual blocks at each."""

    def __init__(
        self, shape: Sequence[int], outputs: int, channels: tuple[int, int], blocks: int
    ) -> None:
        super().__init__()
        _, quarter = halves(shape)
        wide, narrow = channels
        self.layers = nn.Sequential(
            Down(shape[0], wide), residuals(wide, blocks), Down(wide, narrow), residuals(narrow, blocks),
            Flatten(narrow, quarter, outputs, zero=False),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs"]:
        out: Tensor = self.layers(x).flatten(1)
        return out


class PictureDecoder(nn.Module):
    """A vector to a picture, the mirror image of `PictureEncoder`; 0 at first."""

    def __init__(
        self, inputs: int, shape: Sequence[int], channels: tuple[int, int], blocks: int
    ) -> None:
        super().__init__()
        _, quarter = halves(shape)
        wide, narrow = channels
        self.layers = nn.Sequential(
            Unflatten(inputs, narrow, quarter), residuals(narrow, blocks), Up(narrow, wide), residuals(wide, blocks),
            Output(wide, 4 * shape[0]), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, z: Float[Tensor, "b inputs"]) -> Float[Tensor, "b c y x"]:
        out: Tensor = self.layers(z[..., None, None])
        return out


def halves(shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """A half and a quarter of a picture's size. ValueError for what is no picture, or has sides not in fours."""
    if len(shape) != 3 or shape[1] % 4 or shape[2] % 4:
        raise ValueError(
            f"data of shape {tuple(shape)}; give pictures (channels, height, width) with sides in fours"
        )
    _, height, width = shape
    return (height // 2, width // 2), (height // 4, width // 4)
