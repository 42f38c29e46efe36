"""What a network is told besides the data: the level of noise, and the data's own finest detail.

**The level** enters as log-SNR, the one number that means the same for every schedule and every scaling of it
into scales. Fixed sinusoids of many periods followed by a small MLP let a network depend on it smoothly and
sharply at once (Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B).

**The detail.** Near the clean end the last bits of the likelihood hang on the position of a value between two
neighbouring levels, a far smaller distance than those to which a fresh network is sensitive. Sinusoids of the
input with periods of that size make it visible from the start (Kingma et al. 2021, "Variational Diffusion
Models", appendix C). Where the noise is wider than a period they would be noise themselves. Of x = m + s eps one can
know of sin(w m) only what is left on average,

    E sin(w x) = exp(-w^2 s^2 / 2) sin(w m),

so each sinusoid is multiplied by that factor, which takes it out of sight as it drowns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from .condition import Condition, conditioning

LEVEL_RANGE = (
    20.0  # |log-SNR| beyond this is clean, or noise, to any floating-point precision that trains
)
LEVEL_FEATURES = 64
FASTEST, SLOWEST = 4.0, 0.04  # radians per nat: periods from 1.6 nats to 4 times the whole range


def sinusoids(values: Float[Tensor, " b"], count: int) -> Float[Tensor, "b count"]:
    """The features sin(w_k a), cos(w_k a) of each value a, with count/2 geometrically spaced frequencies w_k.

    w_k = FASTEST (SLOWEST / FASTEST)^(k / (count/2 - 1)), in radians per nat (Vaswani et al. 2017, section
    3.5).
    """
    steps = torch.linspace(0, 1, count // 2, dtype=values.dtype, device=values.device)
    angles = values[:, None] * (FASTEST * (SLOWEST / FASTEST) ** steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class LevelEmbedding(nn.Module):
    """log-SNR (b,) -> embedding (b, dim): sinusoids, then a linear layer, SiLU and a linear layer.

    log-SNR is clamped to [-20, 20], so that the exact ends of a path, +inf and -inf, are ordinary inputs.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(LEVEL_FEATURES, dim)
        self.second = nn.Linear(dim, dim)

    def forward(self, log_snr: Float[Tensor, " b"]) -> Float[Tensor, "b dim"]:
        features = sinusoids(log_snr.clamp(-LEVEL_RANGE, LEVEL_RANGE), LEVEL_FEATURES)
        out: Tensor = self.second(silu(self.first(features.to(self.first.weight.dtype))))
        return out


class InputFourier(nn.Module):
    """x -> (x, d_n sin(2^n pi x), d_n cos(2^n pi x) for n in frequencies), joined along the channel axis.

    Kingma et al. 2021, appendix C, with d_n = exp(-(2^n pi)^2 s^2 / 2) for the part s^2 = 1/(1 + SNR) of the variance that
    is noise, in an input of unit variance. With no frequencies this is the identity.
    """

    def __init__(self, frequencies: Sequence[int]) -> None:
        super().__init__()
        self.frequencies = tuple(frequencies)

    def channels(self, channels: int) -> int:
        """The number of output channels for so many input channels."""
        return channels * (1 + 2 * len(self.frequencies))

    def forward(
        self, x: Float[Tensor, "b c *space"], log_snr: Float[Tensor, " b"]
    ) -> Float[Tensor, "b features *space"]:
        noise = torch.sigmoid(-log_snr).reshape(-1, *(1,) * (x.ndim - 1))
        waves = [2.0**n * math.pi for n in self.frequencies]
        damping = [torch.exp(-0.5 * w * w * noise).to(x.dtype) for w in waves]
        sines, cosines = (
            [d * f(w * x) for w, d in zip(waves, damping, strict=True)]
            for f in (torch.sin, torch.cos)
        )
        return torch.cat([x, *sines, *cosines], dim=1)


class Inputs(nn.Module):
    """Everything that a network is told, as features shaped like the data and one embedding per item.

    `channels` is the number of channels of the features. Raises ValueError where x or log_snr do not have the
    shape that the network was built for.
    """

    def __init__(
        self, shape: tuple[int, ...], dim: int, fourier: Sequence[int], condition: Condition | None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.level = LevelEmbedding(dim)
        self.fourier = InputFourier(fourier)
        self.condition = conditioning(condition, dim)
        self.channels = self.fourier.channels(shape[0]) + self.condition.channels

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, " levels"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b channels *space"], Float[Tensor, "b dim"]]:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"x has items of shape {tuple(x.shape[1:])}; this network was built for {self.shape}"
            )
        if log_snr.shape != x.shape[:1]:
            raise ValueError(
                f"log_snr has shape {tuple(log_snr.shape)}; give one per item, ({x.shape[0]},)"
            )
        features, embedding = self.condition(
            self.fourier(x, log_snr), self.level(log_snr), condition
        )
        return features, silu(embedding)


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias 0, so that what it feeds starts unchanged."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def modulate(
    x: Float[Tensor, "..."], shift: Float[Tensor, "..."], scale: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """x (1 + scale) + shift: the embedding's say in a normalised layer (FiLM, Perez et al. 2018; adaLN)."""
    return torch.addcmul(shift, x, 1 + scale)
