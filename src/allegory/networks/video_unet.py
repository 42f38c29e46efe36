"""A U-Net of frames with attention over time, for short videos (Ho et al. 2022).

Convolutions and attention in each frame alone are those of the U-Net of images, and after them, at
chosen resolutions, each place attends to the same place in all frames ("Video Diffusion Models",
section 3: a factorised space-time U-Net). Convolutions do not depend on where a thing is, which
makes this network learn moving things from fewer clips than a transformer.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, silu

from ..conditions import Condition
from .embeddings import places, zeroed
from .frames import FrameInputs, outputs_per_frame
from .registry import NETWORKS, constructor
from .unet import OverTime, Resolution, UNetConfig, embedding_width, resolutions
from .unet_blocks import group_norm


@dataclass(frozen=True)
class VideoUNetConfig:
    """The choice of a U-Net of frames.

    Args:
        patch: side of a patch in pixels, which becomes one pixel of more channels.
        channels: channels at the full resolution.
        multipliers: resolution i is 2^i times smaller and has channels · multipliers[i] channels.
        blocks: residual blocks per resolution, each way.
        attention: the resolutions with attention in a frame, by its longer side there in patches.
        time: the resolutions with attention over time, likewise.
        heads: attention heads.
        dropout: probability of dropping a unit.

    Raises:
        ValueError: for a number out of its range.
    """

    patch: int = 1
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    attention: tuple[int, ...] = (4,)
    time: tuple[int, ...] = (4, 8)
    heads: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.patch < 1 or self.channels % 2:
            raise ValueError(
                f"patch={self.patch} must be at least 1, and channels={self.channels} even, for "
                "the sines and cosines of time"
            )
        assert self.frame_config is not None

    @property
    def frame_config(self) -> UNetConfig:
        """The U-Net of one frame. ValueError for a number out of its range."""
        return UNetConfig(
            self.channels, self.multipliers, self.blocks, self.attention, self.heads, self.dropout
        )

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network.

        Args:
            shape: (time, channels, height, width) of an item.
            condition: what it is conditioned on; None for nothing.
            outputs: output frames, a multiple of those of the items; None means as many.
        """
        return VideoUNetModule(self, shape, condition, outputs)


class VideoUNetModule(nn.Module):
    """A U-Net of frames, (x, log_snr, condition) -> (b, outputs, channels, height, width).

    Args:
        config: its sizes.
        shape: (time, channels, height, width) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: output frames, a multiple of those of the items; None means as many.

    Raises:
        ValueError: for items that are no videos, or frames that cannot be halved often enough.
    """

    when: Tensor

    def __init__(
        self,
        config: VideoUNetConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        channels, *sides = video_shape(shape, config.patch)
        frame, dim = config.frame_config, embedding_width(config.frame_config)
        sizes = resolutions((channels, *sides), len(config.multipliers))
        widths = [config.channels * m for m in config.multipliers]

        self.inputs = FrameInputs(shape, dim, condition)
        self.register_buffer("when", places(self.inputs.times, dim), persistent=False)
        self.film = zeroed(nn.Linear(dim, dim))
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)

        time = OverTime(self.inputs.times, config.time)
        self.level = Resolution(frame, widths[0], widths, sizes, time)
        self.norm = group_norm(widths[0])
        outer = channels * outputs_per_frame(shape[0], outputs)
        self.head = zeroed(nn.Conv2d(widths[0], outer, 3, padding=1))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs c y x"]:
        """The output at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        frames, embedding = self.inputs(x, log_snr, condition)
        each = (embedding[:, None] + self.film(self.when)).flatten(0, 1)
        h = self.stem(pixel_unshuffle(frames.flatten(0, 1), self.config.patch))
        h = self.level(h, each).unflatten(0, (len(x), -1))

        h = h[:, self.inputs.given :].flatten(0, 1)
        out = self.head(silu(self.norm(h))).unflatten(0, (len(x), -1))
        sets = out.unflatten(2, (-1, self.stem.in_channels)).transpose(1, 2)
        return pixel_shuffle(sets.flatten(1, 2), self.config.patch)


def video_shape(shape: tuple[int, ...], patch: int) -> tuple[int, int, int]:
    """(channels, height, width) of a frame in patches.

    Args:
        shape: (time, channels, height, width) of an item.
        patch: side of a patch in pixels.

    Raises:
        ValueError: for another number of axes, and a patch that does not divide both sides.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(
            f"shape={shape} must be (time, channels, height, width); use an AxialTransformer for "
            "series, or a UNet for images"
        )

    _, channels, height, width = shape
    if height % patch or width % patch:
        raise ValueError(
            f"patch={patch} does not divide frames of {height}x{width}: choose a common divisor"
        )
    return channels * patch**2, height // patch, width // patch


VideoUNet = constructor("VideoUNet", VideoUNetConfig)
NETWORKS.register(
    "video_unet",
    VideoUNetConfig,
    "U-Net of frames with attention over time, for videos (Ho et al. 2022)",
)
