"""A residual multilayer perceptron without noise level or condition: encoders and decoders."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from .embeddings import zeroed


class DenseBlock(nn.Module):
    """h + linear(silu(linear(norm(h)))) of some width, the last layer zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.last = zeroed(nn.Linear(width, width))

    def forward(self, h: Float[Tensor, "b width"]) -> Float[Tensor, "b width"]:
        """The features h after the block."""
        out: Tensor = h + self.last(silu(self.first(self.norm(h))))
        return out


class DenseRead(nn.Module):
    """linear(silu(norm(h))).

    Args:
        width: of h.
        outputs: how many numbers it returns per item.
        zero: whether the linear layer is zero at first.
    """

    def __init__(self, width: int, outputs: int, zero: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        linear = nn.Linear(width, outputs)
        self.linear = zeroed(linear) if zero else linear

    def forward(self, h: Float[Tensor, "b width"]) -> Float[Tensor, "b outputs"]:
        """The outputs for h."""
        out: Tensor = self.linear(silu(self.norm(h)))
        return out


class Dense(nn.Module):
    """A map from an array of any shape to another: linear, residual blocks, linear.

    Args:
        inputs: how many numbers one input has.
        result: the shape of one output.
        width: units of each block.
        depth: the number of blocks.
        zero: whether the last layer is zero at first.
    """

    def __init__(
        self, inputs: int, result: Sequence[int], width: int, depth: int, zero: bool = False
    ) -> None:
        super().__init__()
        self.result = tuple(result)
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.Sequential(*(DenseBlock(width) for _ in range(depth)))
        self.read = DenseRead(width, prod(self.result), zero)

    def forward(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *result"]:
        """The outputs for x, (b, *result)."""
        h = self.blocks(self.stem(torch.flatten(x, 1)))
        out: Tensor = self.read(h).unflatten(1, self.result)
        return out
