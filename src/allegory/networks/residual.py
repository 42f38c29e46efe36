"""Residual convolutions without a noise level, for encoders and decoders.

Normalisation is per item (GroupNorm), so an item does not depend on its batch. Sizes change by
moving pixels into channels and back (Shi et al. 2016): the first convolution already works at half
the size or less, where a CPU is fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from .embeddings import zeroed
from .unet_blocks import group_norm


class Residual(nn.Module):
    """h + conv(silu(norm(conv(silu(norm(h)))))), the last one zero: a new block is the identity.

    He et al. 2016, "Identity mappings in deep residual networks".

    Args:
        channels: of h.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(group_norm(channels) for _ in range(2))
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """The features h after the block."""
        inside = self.first(silu(self.norms[0](h)))
        out: Tensor = h + self.last(silu(self.norms[1](inside)))
        return out


def residuals(channels: int, count: int) -> nn.Sequential:
    """`count` residual blocks of so many channels in sequence."""
    return nn.Sequential(*(Residual(channels) for _ in range(count)))


class Output(nn.Module):
    """A 1x1 convolution of silu(norm(h)).

    Args:
        channels: of h.
        outputs: output channels.
        zero: whether the convolution is zero at first.
    """

    def __init__(self, channels: int, outputs: int, zero: bool = True) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        conv = nn.Conv2d(channels, outputs, 1)
        self.conv = zeroed(conv) if zero else conv

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs y x"]:
        """The outputs for h."""
        out: Tensor = self.conv(silu(self.norm(h)))
        return out


class Down(nn.Module):
    """Blocks of pixels become channels, then a convolution.

    Args:
        inner: input channels.
        outer: output channels.
        factor: side of a block of pixels.
    """

    def __init__(self, inner: int, outer: int, factor: int = 2) -> None:
        super().__init__()
        kernel = 3 if factor > 1 else 1
        self.unshuffle = nn.PixelUnshuffle(factor)
        self.conv = nn.Conv2d(inner * factor**2, outer, kernel, padding=kernel // 2)

    def forward(self, h: Float[Tensor, "b inner y x"]) -> Float[Tensor, "b outer y2 x2"]:
        """The features h at the smaller size."""
        out: Tensor = self.conv(self.unshuffle(h))
        return out


class Up(nn.Module):
    """A 1x1 convolution, then channels become blocks of pixels.

    Args:
        inner: input channels.
        outer: output channels.
        factor: side of a block of pixels.
    """

    def __init__(self, inner: int, outer: int, factor: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer * factor**2, 1)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, h: Float[Tensor, "b inner y x"]) -> Float[Tensor, "b outer y2 x2"]:
        """The features h at the larger size."""
        out: Tensor = self.shuffle(self.conv(h))
        return out


class Flatten(nn.Module):
    """An image to the channels of a single pixel: a linear layer over all of silu(norm(h)).

    The weights are initialised as if the layer saw one pixel, and the output is divided by the
    square root of the number of pixels. A step of the optimizer, which changes every weight by
    about as much, then changes the output by that factor less.

    Args:
        channels: of h.
        size: height and width of h.
        outputs: output channels.
        zero: whether the layer is zero at first.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, zero: bool = True
    ) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.pixels = size[0] * size[1]
        linear = nn.Linear(channels * self.pixels, outputs)
        self.linear = zeroed(linear) if zero else _enlarged(linear, self.pixels)

    def forward(self, h: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs 1 1"]:
        """The features h as channels of one pixel."""
        out: Tensor = self.linear(silu(self.norm(h)).flatten(1))[..., None, None]
        return out / math.sqrt(self.pixels)


class Unflatten(nn.Module):
    """A single pixel to an image: a linear layer, scaled like that of `Flatten`.

    Args:
        inputs: input channels.
        channels: output channels.
        size: height and width of the output.
    """

    def __init__(self, inputs: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.pixels = size[0] * size[1]
        self.linear = _enlarged(nn.Linear(inputs, channels * self.pixels), self.pixels)

    def forward(self, z: Float[Tensor, "b inputs 1 1"]) -> Float[Tensor, "b c y x"]:
        """The image of z."""
        out: Tensor = self.linear(z.flatten(1)).unflatten(1, self.shape)
        return out / math.sqrt(self.pixels)


@torch.no_grad()
def _enlarged(linear: nn.Linear, pixels: int) -> nn.Linear:
    for parameter in linear.parameters():
        parameter.mul_(math.sqrt(pixels))
    return linear


class PictureEncoder(nn.Module):
    """An image to a vector: convolutions at a half and a quarter of the size, then a linear layer.

    Args:
        shape: (channels, height, width) of the image.
        outputs: length of the vector.
        channels: at a half and at a quarter of the size.
        blocks: residual blocks at each size.
    """

    def __init__(
        self, shape: Sequence[int], outputs: int, channels: tuple[int, int], blocks: int
    ) -> None:
        super().__init__()
        _, quarter = halves(shape)
        wide, narrow = channels

        self.layers = nn.Sequential(
            Down(shape[0], wide),
            residuals(wide, blocks),
            Down(wide, narrow),
            residuals(narrow, blocks),
            Flatten(narrow, quarter, outputs, zero=False),
        )

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b outputs"]:
        """The vector of each image x."""
        out: Tensor = self.layers(x).flatten(1)
        return out


class PictureDecoder(nn.Module):
    """A vector to an image, the mirror image of `PictureEncoder`; 0 at first.

    Args:
        inputs: length of the vector.
        shape: (channels, height, width) of the image.
        channels: at a half and at a quarter of the size.
        blocks: residual blocks at each size.
    """

    def __init__(
        self, inputs: int, shape: Sequence[int], channels: tuple[int, int], blocks: int
    ) -> None:
        super().__init__()
        _, quarter = halves(shape)
        wide, narrow = channels

        self.layers = nn.Sequential(
            Unflatten(inputs, narrow, quarter),
            residuals(narrow, blocks),
            Up(narrow, wide),
            residuals(wide, blocks),
            Output(wide, 4 * shape[0]),
            nn.PixelShuffle(2),
        )

    def forward(self, z: Float[Tensor, "b inputs"]) -> Float[Tensor, "b c y x"]:
        """The image of each vector z."""
        out: Tensor = self.layers(z[..., None, None])
        return out


def halves(shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """A half and a quarter of the size of an image with this shape (channels, height, width).

    Raises:
        ValueError: unless both sides are multiples of 4.
    """
    if len(shape) != 3 or shape[1] % 4 or shape[2] % 4:
        raise ValueError(
            f"data of shape {tuple(shape)}; give images (channels, height, width) whose sides are "
            "multiples of 4, e.g. by ?size=32"
        )
    _, height, width = shape
    return (height // 2, width // 2), (height // 4, width // 4)
