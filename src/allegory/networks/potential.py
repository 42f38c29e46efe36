"""A residual multilayer perceptron that puts out one number an item: a potential, to be differentiated.

What is told of the level is smooth in log-SNR, for its derivative is trained too (`objectives.dual_score_matching`): the
number itself and sinusoids of long periods, added to the first layer, where `mlp.py` has short ones and scales by them.
Sinusoids of the input, faded with the noise (`embed.InputFourier`), make the fine parts of a density visible early on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from .condition import Condition, conditioning
from .embeddings import LEVEL_RANGE, InputFourier, zeroed
from .registry import NETWORKS, constructor

WAVES = (0.1, 0.2, 0.4, 0.8)
"""Radians per nat: periods from 8 nats up."""


@dataclass(frozen=True)
class PotentialConfig:
    """The choice of a scalar network: `depth` residual layers of `width` units, sinusoids 2^n pi of the input for n in
    `fourier`.
    """

    width: int = 128
    depth: int = 3
    fourier: tuple[int, ...] = ()

    scalar: ClassVar[bool] = True
    """The network has one output per item, whatever their shape: an energy is read off it directly."""

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise ValueError(f"width={self.width} and depth={self.depth} must be at least 1")

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network for items of this shape. ValueError for other than one output."""
        if outputs not in (None, 1):
            raise ValueError(
                f"outputs={outputs}: this network puts out one number an item; leave it out"
            )
        return PotentialModule(self, shape, condition)


class PotentialModule(nn.Module):
    """(x, log_snr, condition) -> (b,), which is 0 for a new network."""

    def __init__(
        self, config: PotentialConfig, shape: tuple[int, ...], condition: Condition | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        self.fourier = InputFourier(config.fourier)
        self.condition = conditioning(condition, config.width)
        self.level = nn.Sequential(
            nn.Linear(1 + 2 * len(WAVES), config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
        )
        channels = self.fourier.channels(shape[0]) + self.condition.channels
        self.stem = nn.Linear(channels * prod(shape[1:]), config.width)
        self.layers = nn.ModuleList(
            nn.Linear(config.width, config.width) for _ in range(config.depth)
        )
        self.head = zeroed(nn.Linear(config.width, 1))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, " b"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"x has items of shape {tuple(x.shape[1:])}; this network was built for {self.shape}"
            )
        features, told = self.condition(
            self.fourier(x, log_snr), self.level(_slow(log_snr)), condition
        )
        h = self.stem(features.flatten(1)) + told
        for layer in self.layers:
            h = h + layer(silu(h))
        out: Tensor = self.head(silu(h))
        return out[:, 0]


def _slow(log_snr: Float[Tensor, " b"]) -> Float[Tensor, "b features"]:
    at = log_snr.clamp(-LEVEL_RANGE, LEVEL_RANGE)[:, None]
    angles = at * torch.tensor(WAVES, dtype=at.dtype, device=at.device)
    return torch.cat([at / math.sqrt(LEVEL_RANGE), angles.sin(), angles.cos()], 1)


Potential = constructor("Potential", PotentialConfig)
NETWORKS.register(
    "potential",
    PotentialConfig,
    "residual multilayer perceptron with one output per item, for energies",
)
