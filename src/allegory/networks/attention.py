"""Multi-head self-attention, for the U-Net's coarse resolutions and the transformer's blocks.

y = softmax(q kᵀ / sqrt(d)) v      per head of width d       (Vaswani et al. 2017, equation 1)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """Multi-head self-attention, (b, ..., n, c) -> (b, ..., n, c), among the n tokens.

    Args:
        channels: c.
        heads: the number of heads, which divides c.

    Raises:
        ValueError: when it does not.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(
                f"heads={heads} must divide the {channels} channels that it attends over"
            )

        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Float[Tensor, "*b n c"]) -> Float[Tensor, "*b n c"]:
        """Attention of every token to all tokens along the axis before the last."""
        split = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))
        q, k, v = split.movedim(-3, 0).transpose(-3, -2)
        if q.device.type == "cpu" and q.dtype == torch.bfloat16:
            # In bfloat16 the backward pass takes 4 to 12 times that of float32 on a CPU.
            q, k, v = q.float(), k.float(), v.float()

        mixed = scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2).to(tokens.dtype))
        return out
