"""A convolutional encoder with a linear head: numbers of an image, such as the logits of classes.

It is the downward half of the U-Net (`unet.py`): residual blocks whose features are scaled and
shifted by the embedding of the noise level, 2x2 means between the resolutions, then the mean over
all pixels and one linear layer. Dhariwal & Nichol 2021, section 4, classify noisy images by such a
network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, silu

from ..conditions import Condition
from .embeddings import Inputs, zeroed
from .registry import NETWORKS
from .unet import Stage, UNetConfig, embedding_width, resolutions
from .unet_blocks import group_norm


@dataclass(frozen=True)
class EncoderConfig:
    """The choice of a convolutional encoder.

    Args:
        channels: channels at the full resolution.
        multipliers: resolution i is 2^i times smaller and has channels · multipliers[i] channels.
        blocks: residual blocks per resolution.
        attention: the resolutions with attention, by the longer side of the image there.
        heads: attention heads.
        dropout: probability of dropping a unit.

    Raises:
        ValueError: for a number out of its range.
    """

    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 2
    attention: tuple[int, ...] = ()
    heads: int = 2
    dropout: float = 0.1

    per_item: ClassVar[bool] = True
    """The network returns (b, outputs), whatever the shape of the items."""

    def __post_init__(self) -> None:
        self.unet()  # has the same bounds

    def unet(self) -> UNetConfig:
        """The U-Net whose downward half this is."""
        return UNetConfig(
            self.channels,
            self.multipliers,
            self.blocks,
            self.attention,
            self.heads,
            self.dropout,
        )

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network.

        Args:
            shape: (channels, height, width) of an item.
            condition: what it is conditioned on; None for nothing.
            outputs: numbers per item; None means 1.
        """
        return EncoderModule(self, shape, condition, outputs)


class EncoderModule(nn.Module):
    """A convolutional encoder, (x, log_snr, condition) -> (b, outputs), 0 for a new network.

    Args:
        config: its sizes.
        shape: (channels, height, width) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: numbers per item; None means 1.

    Raises:
        ValueError: for items that are no images, or cannot be halved often enough.
    """

    def __init__(
        self,
        config: EncoderConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        unet = config.unet()
        sizes = resolutions(shape, len(config.multipliers))
        widths = [config.channels * m for m in config.multipliers]

        self.inputs = Inputs(shape, embedding_width(unet), (), condition)
        self.stem = nn.Conv2d(self.inputs.channels, widths[0], 3, padding=1)

        self.levels = nn.ModuleList()
        for inner, width, size in zip([widths[0], *widths], widths, sizes, strict=False):
            stages = [
                Stage(unet, width if index else inner, width, size)
                for index in range(config.blocks)
            ]
            self.levels.append(nn.ModuleList(stages))

        self.norm = group_norm(widths[-1])
        self.head = zeroed(nn.Linear(widths[-1], outputs or 1))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs"]:
        """The numbers of each item at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        h = self.stem(features)

        for number, stages in enumerate(self.levels):
            assert isinstance(stages, nn.ModuleList)
            h = avg_pool2d(h, 2) if number else h

            for stage in stages:
                h = stage(h, embedding)

        out: Tensor = self.head(silu(self.norm(h)).mean((2, 3)))
        return out


NETWORKS.register(
    "encoder",
    EncoderConfig,
    "downward half of the U-Net with a linear head, for classifiers (Dhariwal & Nichol 2021)",
)
