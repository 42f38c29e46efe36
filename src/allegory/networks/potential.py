"""A residual perceptron with one output per item: a potential, whose gradient is a score.

Its derivative with respect to log-SNR is trained too (`objectives.dual_score_matching`), so the
features of the noise level are smooth: log-SNR itself and sinusoids of long periods, added to the
first layer, where `mlp.py` has short periods that scale each layer. Damped Fourier features of the
input (`embeddings.InputFourier`) resolve the fine parts of a density from the start.
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

from ..conditions import Condition, NoConditioning
from .embeddings import MAX_LOG_SNR, InputFourier, check_items, zeroed
from .registry import NETWORKS, constructor

# Radians per nat of log-SNR: periods from 8 nats up.
_FREQUENCIES = (0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class PotentialConfig:
    """The choice of a potential.

    Args:
        width: units of each layer.
        depth: the number of residual layers.
        fourier: exponents n of the input features sin(2^n pi x), cos(2^n pi x).

    Raises:
        ValueError: for less than 1.
    """

    width: int = 128
    depth: int = 3
    fourier: tuple[int, ...] = ()

    scalar: ClassVar[bool] = True
    """The network has one output per item, whatever their shape, as an energy needs it."""

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
            outputs: None or 1.

        Raises:
            ValueError: for another number of outputs.
        """
        if outputs not in (None, 1):
            raise ValueError(
                f"outputs={outputs}: this network has one output per item; leave it out"
            )
        return PotentialModule(self, shape, condition)


class PotentialModule(nn.Module):
    """A scalar potential, (x, log_snr, condition) -> (b,), which is 0 for a new network.

    Args:
        config: its sizes.
        shape: of one item.
        condition: what it is conditioned on; None for nothing.
    """

    def __init__(
        self, config: PotentialConfig, shape: tuple[int, ...], condition: Condition | None = None
    ) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.shape = shape

        self.fourier = InputFourier(config.fourier)
        self.condition = (
            NoConditioning() if condition is None else condition.module(width, shape[1:])
        )
        self.level = nn.Sequential(
            nn.Linear(1 + 2 * len(_FREQUENCIES), width), nn.SiLU(), nn.Linear(width, width)
        )

        channels = self.fourier.channels(shape[0]) + self.condition.channels
        self.stem = nn.Linear(channels * prod(shape[1:]), width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(config.depth))
        self.head = zeroed(nn.Linear(width, 1))

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, " b"],
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The potential of each item.

        Args:
            x: noisy data with unit variance, (b, *shape).
            log_snr: one per item, (b,).
            condition: one entry per item; None is the null.

        Raises:
            ValueError: for items of another shape.
        """
        check_items(x, self.shape)
        features = self.fourier(x, log_snr)
        level = self.level(_smooth_features(log_snr))
        features, embedding = self.condition(features, level, condition)

        h = self.stem(features.flatten(1)) + embedding

        for layer in self.layers:
            h = h + layer(silu(h))

        out: Tensor = self.head(silu(h))
        return out[:, 0]


def _smooth_features(log_snr: Float[Tensor, " b"]) -> Float[Tensor, "b features"]:
    """log-SNR and its sinusoids of long periods."""
    clamped = log_snr.clamp(-MAX_LOG_SNR, MAX_LOG_SNR)[:, None]
    frequencies = torch.tensor(_FREQUENCIES, dtype=clamped.dtype, device=clamped.device)
    angles = clamped * frequencies
    return torch.cat([clamped / math.sqrt(MAX_LOG_SNR), angles.sin(), angles.cos()], 1)


Potential = constructor("Potential", PotentialConfig)
NETWORKS.register(
    "potential",
    PotentialConfig,
    "residual multilayer perceptron with one output per item, for energies",
)
