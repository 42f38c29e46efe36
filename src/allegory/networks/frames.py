"""Items with time as their first axis, as frames: what networks of series and videos begin with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..conditions import Condition
from .embeddings import Inputs


class Frames(NamedTuple):
    """What a network of frames computes with.

    Args:
        x: frames that are given, then those of the noisy item, (b, times, channels, height, width).
        embedding: of noise level and condition, (b, dim).
    """

    x: Float[Tensor, "b t c h w"]
    embedding: Float[Tensor, "b dim"]


class FrameInputs(nn.Module):
    """The inputs of a network as frames and one embedding per item.

    First frames that are a condition (`Picture`) become frames before those of the item, and the
    mask of what is known becomes one more.

    Args:
        shape: (time, channels) or (time, channels, height, width) of an item.
        dim: width of the embedding.
        condition: what the network is conditioned on; None for nothing.

    Raises:
        ValueError: for items without an axis of time.
    """

    def __init__(self, shape: tuple[int, ...], dim: int, condition: Condition | None) -> None:
        super().__init__()
        self.frame = frame_shape(shape)
        self.own = shape[0]
        self.inputs = Inputs(shape, dim, (), condition)
        self.given = self.inputs.channels - self.own

    @property
    def times(self) -> int:
        """How many frames there are, those that are given included."""
        return self.given + self.own

    def add_number(self) -> None:
        """Let the network depend on one more number per item, at first not at all."""
        self.inputs.add_number()

    def forward(
        self, x: Float[Tensor, "b *shape"], log_snr: Tensor, condition: Tensor | None
    ) -> Frames:
        """The frames and the embedding.

        Args:
            x: noisy data, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        own, given = features.split([self.own, self.given], dim=1)
        frames = torch.cat([given, own], dim=1)
        return Frames(frames.reshape(len(x), self.times, *self.frame), embedding)


def frame_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of one frame of an item; those of a series are 1x1.

    Args:
        shape: (time, channels) or (time, channels, height, width) of an item.

    Raises:
        ValueError: for another number of axes.
    """
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ValueError(
            f"shape={shape} must be (time, channels) or (time, channels, height, width); use a "
            "UNet for images, or an MLP for other data"
        )

    channels, height, width = shape[1:] if len(shape) == 4 else (shape[1], 1, 1)
    return channels, height, width


def outputs_per_frame(frames: int, outputs: int | None) -> int:
    """How many output frames there are per frame of an item.

    Args:
        frames: of an item.
        outputs: in all; None means one each.

    Raises:
        ValueError: where that is no whole number.
    """
    count, rest = divmod(frames if outputs is None else outputs, frames)

    if rest or count < 1:
        raise ValueError(f"outputs={outputs} for items of {frames} frames; give a multiple of it")
    return count
