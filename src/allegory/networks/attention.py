"""Multi-head self-attention, for the U-Net's coarse resolutions and the transformer's blocks.

y = softmax(q kᵀ / sqrt(d)) v      per head of width d       (Vaswani et al. 2017, equation 1)

With rotations (Su et al. 2021, "RoFormer"), queries and keys are turned by angles that are
proportional to their place, so that their products depend on differences of places. With several
axes of space, each has a part of the angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_LONGEST = 10_000.0
"""The longest wavelength of a rotation, over 2 pi."""


class Attention(nn.Module):
    """Multi-head self-attention, (b, ..., n, c) -> (b, ..., n, c), among the n tokens.

    Args:
        channels: c.
        heads: the number of heads, which divides c.
        turns: by which queries and keys are rotated, from `rotations`; None for no rotation.
        causal: whether a token sees only itself and those before it.

    Raises:
        ValueError: when it does not.
    """

    turns: Tensor | None

    def __init__(
        self,
        channels: int,
        heads: int,
        turns: Float[Tensor, "2 n half"] | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(
                f"heads={heads} must divide the {channels} channels that it attends over"
            )

        self.heads, self.causal = heads, causal
        self.register_buffer("turns", turns, persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Float[Tensor, "*b n c"]) -> Float[Tensor, "*b n c"]:
        """Attention of every token to all tokens along the axis before the last."""
        split = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))
        q, k, v = split.movedim(-3, 0).transpose(-3, -2)
        if self.turns is not None:
            q, k = rotated(q, self.turns), rotated(k, self.turns)
        with torch.autocast(q.device.type, enabled=False):
            mixed = self._mixed(*map(_widened, (q, k, v)))
        out: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2).to(tokens.dtype))
        return out

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "*b heads n d"]:
        """The values v, mixed by the softmax of the products of q and k."""
        return scaled_dot_product_attention(q, k, v, is_causal=self.causal)


def _widened(x: Tensor) -> Tensor:
    """float32 for bfloat16 on a CPU, where the backward pass takes 4 to 12 times as long."""
    return x.float() if x.device.type == "cpu" and x.dtype == torch.bfloat16 else x


def rotations(space: Sequence[int], half: int) -> Float[Tensor, "2 n half"]:
    """Cosine and sine of the angles p 10000^(-k/m), k = 0..m-1, of each place p along each axis.

    Args:
        space: the sizes of the axes.
        half: pairs of features, divided among the axes.
    """
    places = torch.tensor([*product(*map(range, space))], dtype=torch.float64)
    sizes = [len(part) for part in torch.arange(half).tensor_split(len(space))]
    angles = [
        places[:, axis, None] * _LONGEST ** -(torch.arange(size, dtype=torch.float64) / size)
        for axis, size in enumerate(sizes)
    ]
    angle = torch.cat(angles, 1)

    return torch.stack([angle.cos(), angle.sin()]).float()


def rotated(
    x: Float[Tensor, "*b heads n c"], turns: Float[Tensor, "2 n half"]
) -> Float[Tensor, "*b heads n c"]:
    """Each pair of features turned by the angle of its place.

    Args:
        x: queries or keys.
        turns: from `rotations`.
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = turns.to(x)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
