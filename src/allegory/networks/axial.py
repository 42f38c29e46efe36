"""A transformer with attention along one axis after the other: series and short videos.

An item is (time, channels) or (time, channels, height, width). Attention among all numbers of a
video would cost the square of their number; here a block attends among the patches of a frame, and
the next one among the times of a patch, and so on in turn (Ho et al. 2019, "Axial Attention in
Multidimensional Transformers"; Ho et al. 2022, "Video Diffusion Models", section 3). A series has
one position per time, and its blocks attend over time only.

First frames that are a condition are further frames, before those of the item: attention over time
reads them, and there is no output for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..conditions import Condition
from .attention import Attention
from .dit import TransformerBlock, adaptive_norm, patch_grid, positions
from .embeddings import places, zeroed
from .frames import FrameInputs, outputs_per_frame
from .registry import NETWORKS, constructor


@dataclass(frozen=True)
class AxialTransformerConfig:
    """The choice of an axial transformer: 18 width² weights per block.

    Args:
        patch: side of a patch of a frame in pixels; 1 for series.
        width: units of a token, a multiple of 4.
        depth: blocks over time, and as many over each frame.
        heads: attention heads, which divide the width.
        dropout: probability of dropping a unit.

    Raises:
        ValueError: for a number out of its range.
    """

    patch: int = 2
    width: int = 128
    depth: int = 4
    heads: int = 4
    dropout: float = 0.0

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
            shape: (time, channels) or (time, channels, height, width) of an item.
            condition: what it is conditioned on; None for nothing.
            outputs: output frames, a multiple of those of the items; None means as many.
        """
        return AxialTransformerModule(self, shape, condition, outputs)


class AxialBlock(nn.Module):
    """A transformer block over the patches of each frame, then one over the times of each patch.

    Args:
        config: of the network.
        has_space: whether a frame has several patches; else the first block is left out.
    """

    def __init__(self, config: AxialTransformerConfig, has_space: bool) -> None:
        super().__init__()
        self.space = self._block(config) if has_space else None
        self.time = self._block(config)

    def forward(
        self, h: Float[Tensor, "b t n c"], embedding: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b t n c"]:
        """The tokens h after both blocks."""
        if self.space is not None:
            h = self.space(h, embedding)

        out: Tensor = self.time(h.transpose(1, 2), embedding)
        return out.transpose(1, 2)

    @staticmethod
    def _block(config: AxialTransformerConfig) -> TransformerBlock:
        attention = Attention(config.width, config.heads)
        return TransformerBlock(config.width, attention, config.dropout)


class AxialTransformerModule(nn.Module):
    """An axial transformer, (x, log_snr, condition) -> (b, outputs, *shape[1:]).

    Args:
        config: its sizes.
        shape: (time, channels) or (time, channels, height, width) of an item.
        condition: what it is conditioned on; None for nothing.
        outputs: output frames, a multiple of those of the items; None means as many.

    Raises:
        ValueError: for items without an axis of time, a patch that does not divide a frame, and
            other numbers of output frames.
    """

    space: Tensor
    time: Tensor

    def __init__(
        self,
        config: AxialTransformerConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

        self.inputs = FrameInputs(shape, config.width, condition)
        self.patch = config.patch if len(shape) == 4 else 1
        self.grid = patch_grid(self.inputs.frame, self.patch)
        self.outputs = outputs_per_frame(shape[0], outputs)

        width, size = config.width, self.inputs.frame[0] * self.patch**2
        self.stem = nn.Linear(size, width)
        # The weights of torch make tokens that are small beside their positions.
        nn.init.normal_(self.stem.weight, std=2 / math.sqrt(size))
        self.register_buffer("space", positions(*self.grid, width), persistent=False)
        self.register_buffer("time", places(self.inputs.times, width), persistent=False)

        self.blocks = nn.ModuleList(
            AxialBlock(config, has_space=self.grid != (1, 1)) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = zeroed(nn.Linear(width, 2 * width))
        self.head = zeroed(nn.Linear(width, self.outputs * size))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b outputs *frame"]:
        """The output at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        frames, embedding = self.inputs(x, log_snr, condition)
        h = self.stem(self._patches(frames)) + self.space + self.time[:, None]

        for block in self.blocks:
            h = block(h, embedding)

        h = h[:, self.inputs.given :]
        return self._frames(self.head(adaptive_norm(h, self.norm, self.film(embedding))))

    def _patches(self, frames: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t n size"]:
        """The patches of each frame."""
        cut = pixel_unshuffle(frames, self.patch)
        return cut.flatten(3).transpose(2, 3)

    def _frames(self, patches: Float[Tensor, "b t n size"]) -> Float[Tensor, "b outputs *frame"]:
        """Frames of patches, several sets of them one after the other."""
        sets = patches.unflatten(-1, (self.outputs, -1)).movedim(-2, 1)
        cut = sets.flatten(0, 2).transpose(1, 2).unflatten(2, self.grid)
        return pixel_shuffle(cut, self.patch).reshape(len(patches), -1, *self.shape[1:])


AxialTransformer = constructor("AxialTransformer", AxialTransformerConfig)
NETWORKS.register(
    "axial",
    AxialTransformerConfig,
    "axial transformer, for series and videos, time first (Ho et al. 2019)",
)
