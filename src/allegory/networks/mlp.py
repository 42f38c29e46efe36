"""A residual multilayer perceptron for data of any shape: points, tables and small arrays.

The data are flattened, joined by what they are conditioned on, and passed through residual blocks
whose normalisation is scaled, shifted and gated by the embedding of noise level and condition. All
of these start from zero (adaLN-zero, Peebles & Xie 2023, section 3.2): a new block is the identity,
and a new network returns 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from ..conditions import Condition
from .embeddings import Inputs, modulate, zeroed
from .registry import NETWORKS, constructor


@dataclass(frozen=True)
class MLPConfig:
    """The choice of a residual multilayer perceptron, with about 5 depth width² weights.

    Args:
        width: units of each block.
        depth: the number of residual blocks.

    Raises:
        ValueError: for less than 1.
    """

    width: int = 128
    depth: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise ValueError(f"width={self.width} and depth={self.depth} must be at least 1")

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network.

        Args:
            shape: of one item.
            condition: what it is conditioned on; None for nothing.
            outputs: output channels; None means those of the items.
        """
        return MLPModule(self, shape, condition, outputs)


class PerceptronBlock(nn.Module):
    """h + gate · f(LayerNorm(h) (1 + scale) + shift), f being linear, SiLU, linear of one width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = zeroed(nn.Linear(width, 3 * width))
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, h: Float[Tensor, "b width"], embedding: Float[Tensor, "levels width"]
    ) -> Float[Tensor, "b width"]:
        """The features h after the block; shift, scale and gate come from the embedding, which is
        one for each item or one for all.
        """
        shift, scale, gate = self.film(embedding).chunk(3, dim=1)
        out: Tensor = h + gate * self.layers(modulate(self.norm(h), shift, scale))
        return out


class MLPModule(nn.Module):
    """A residual multilayer perceptron, (x, log_snr, condition) -> x with `outputs` channels.

    Args:
        config: its sizes.
        shape: of one item.
        condition: what it is conditioned on; None for nothing.
        outputs: output channels; None means those of the items.

    Raises:
        ValueError: for a shape without axes, or with an empty one.
    """

    def __init__(
        self,
        config: MLPConfig,
        shape: tuple[int, ...],
        condition: Condition | None = None,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        if not shape or min(shape) < 1:
            raise ValueError(
                f"shape={shape} must have at least one axis, all of positive length: "
                "(1,) for scalars"
            )

        self.config = config
        self.result = (outputs or shape[0], *shape[1:])

        self.inputs = Inputs(shape, config.width, (), condition)
        self.stem = nn.Linear(self.inputs.channels * prod(shape[1:]), config.width)
        self.blocks = nn.ModuleList(PerceptronBlock(config.width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = zeroed(nn.Linear(config.width, prod(self.result)))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "b *numbers"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, "b *result"]:
        """The output at this noise level.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,), or further numbers after it (`add_number`).
            condition: one entry per item; None is the null.
        """
        features, embedding = self.inputs(x, log_snr, condition)
        if condition is None and log_snr.stride(0) == 0:  # one level for all, as in a sampler
            embedding = embedding[:1]
        h = self.stem(features.flatten(1))

        for block in self.blocks:
            h = block(h, embedding)

        out: Tensor = self.head(self.norm(h))
        return out.view(-1, *self.result)


MLP = constructor("MLP", MLPConfig)
NETWORKS.register("mlp", MLPConfig, "residual multilayer perceptron, for data of any shape")
