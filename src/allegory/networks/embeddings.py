"""Embeddings of the noise level, and Fourier features of the data.

**Noise level.** It enters as log-SNR, the one number that means the same for every schedule and
scaling. Fixed sinusoids of many periods followed by a small perceptron let a network depend on it
smoothly and sharply at once (Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B).

**Fine detail.** Near the clean end the last bits of a likelihood depend on where a value lies
between two neighbouring levels, a far smaller distance than those to which a new network is
sensitive. Sinusoids of the input with periods of that size make it visible (Kingma et al. 2021,
"Variational Diffusion Models", appendix C). Where the noise is wider than a period they would be
noise themselves. For x = m + s eps the mean of a sinusoid is

    E sin(w x) = exp(-w^2 s^2 / 2) sin(w m),

so each feature is multiplied by that factor, which damps it to zero once its period is below the
noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from ..conditions import Condition, NoConditioning

MAX_LOG_SNR = 20.0
"""Beyond it, x_t is clean, or noise, to any precision that trains."""

_LEVEL_FEATURES = 64
# Radians per nat of log-SNR: periods from 1.6 nats to 4 times the whole range.
_HIGHEST_FREQUENCY = 4.0
_LOWEST_FREQUENCY = 0.04


def sinusoids(values: Float[Tensor, " b"], count: int) -> Float[Tensor, "b count"]:
    """Features sin(w_k a), cos(w_k a) of each value a, with geometrically spaced frequencies w_k.

    w_k = 4 (0.04/4)^(k / (count/2 - 1)) radians per nat, k from 0 to count/2 - 1 (Vaswani et al.
    2017, section 3.5).

    Args:
        values: a, (b,).
        count: the number of features, even.
    """
    exponents = torch.linspace(0, 1, count // 2, dtype=values.dtype, device=values.device)
    frequencies = _HIGHEST_FREQUENCY * (_LOWEST_FREQUENCY / _HIGHEST_FREQUENCY) ** exponents
    angles = values[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def places(count: int, width: int) -> Float[Tensor, "count width"]:
    """Fixed sinusoids of the places 0, 1, 2, ... along one axis (Vaswani et al. 2017, section 3.5).

    sin(p w_k), cos(p w_k) with w_k = 10000^(-k / (width/2)).

    Args:
        count: the number of places.
        width: features per place, even.
    """
    frequencies = 10000.0 ** -torch.linspace(0, 1, width // 2 + 1, dtype=torch.float64)[:-1]
    angles = torch.arange(count)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


class LevelEmbedding(nn.Module):
    """log-SNR (b,) -> embedding (b, dim): sinusoids, then linear, SiLU, linear.

    log-SNR is clamped to [-20, 20], so that the exact ends of a path, +inf and -inf, are ordinary
    inputs.

    Args:
        dim: width of the embedding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(_LEVEL_FEATURES, dim)
        self.second = nn.Linear(dim, dim)

    def forward(self, log_snr: Float[Tensor, " b"]) -> Float[Tensor, "b dim"]:
        """The embedding of each log_snr."""
        features = sinusoids(log_snr.clamp(-MAX_LOG_SNR, MAX_LOG_SNR), _LEVEL_FEATURES)
        out: Tensor = self.second(silu(self.first(features.to(self.first.weight.dtype))))
        return out


class InputFourier(nn.Module):
    """x -> (x, d_n sin(2^n pi x), d_n cos(2^n pi x) for each n), joined along the channel axis.

    Kingma et al. 2021, appendix C, with the damping d_n = exp(-(2^n pi)^2 s^2 / 2), where s^2 =
    1/(1 + SNR) is the part of the variance of a unit-variance input that is noise.

    Args:
        frequencies: the exponents n; without any this is the identity.
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
        """x with its sinusoids, damped as log_snr says."""
        per_item = (-1, *(1,) * (x.ndim - 1))
        noise_variance = torch.sigmoid(-log_snr).reshape(per_item)

        sines = []
        cosines = []
        for n in self.frequencies:
            w = 2.0**n * math.pi
            damping = torch.exp(-0.5 * w * w * noise_variance).to(x.dtype)
            sines.append(damping * torch.sin(w * x))
            cosines.append(damping * torch.cos(w * x))

        return torch.cat([x, *sines, *cosines], dim=1)


class Inputs(nn.Module):
    """The inputs of a network as features shaped like the data and one embedding per item.

    Args:
        shape: of one item.
        dim: width of the embedding.
        fourier: exponents of the Fourier features.
        condition: what the network is conditioned on; None for nothing.
    """

    def __init__(
        self, shape: tuple[int, ...], dim: int, fourier: Sequence[int], condition: Condition | None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.level = LevelEmbedding(dim)
        self.further = nn.ModuleList()
        self.fourier = InputFourier(fourier)
        self.condition = NoConditioning() if condition is None else condition.module(dim, shape[1:])
        self.channels = self.fourier.channels(shape[0]) + self.condition.channels

    def add_number(self) -> None:
        """Let the network depend on one more number per item, at first not at all."""
        embedding = LevelEmbedding(self.level.second.out_features)
        zeroed(embedding.second)
        self.further.append(embedding)

    def forward(
        self,
        x: Float[Tensor, "b *shape"],
        log_snr: Float[Tensor, "levels *numbers"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b channels *space"], Float[Tensor, "b dim"]]:
        """Features (b, channels, *space) and embedding (b, dim).

        Args:
            x: noisy data, (b, *shape).
            log_snr: one per item, (b,); with the further numbers after it, (b, 1 + further).
            condition: one entry per item; None is the null.

        Raises:
            ValueError: for other shapes than those that the network was built for.
        """
        check_items(x, self.shape)
        shape = (len(x), 1 + len(self.further)) if self.further else (len(x),)
        if log_snr.shape != shape:
            raise ValueError(f"log_snr has shape {tuple(log_snr.shape)}; give {shape}")

        own, *numbers = log_snr.unbind(1) if self.further else (log_snr,)
        level = self.level(own)
        for embed, number in zip(self.further, numbers, strict=True):
            level = level + embed(number)

        features, embedding = self.condition(self.fourier(x, own), level, condition)
        return features, silu(embedding)


def add_number(network: nn.Module) -> None:
    """Let a network depend on one more number per item than log-SNR; at first it does not.

    It then takes log_snr of shape (b, 2): for a flow map log-SNR of the state and of the level to
    reach; once more, and it takes (b, 3).

    Args:
        network: one whose `inputs` are an `Inputs`, or that has a method `add_number`.

    Raises:
        ValueError: for another network.
    """
    inputs: Any = network if hasattr(network, "add_number") else getattr(network, "inputs", None)
    if not hasattr(inputs, "add_number"):
        raise ValueError(
            f"network: a {type(network).__name__} depends on one noise level; give a network with "
            "a method add_number(), such as an MLP, a U-Net or a DiT"
        )
    inputs.add_number()


def check_items(x: Tensor, shape: tuple[int, ...]) -> None:
    """ValueError for items x of another shape than a network was built for."""
    if tuple(x.shape[1:]) != shape:
        raise ValueError(
            f"x has items of shape {tuple(x.shape[1:])}; this network was built for {shape}"
        )


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias 0, so that what it is added to starts unchanged."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def modulate(
    x: Float[Tensor, "..."], shift: Float[Tensor, "..."], scale: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """x (1 + scale) + shift (FiLM, Perez et al. 2018; adaLN).

    Args:
        x: normalised features.
        shift: from the embedding, broadcastable.
        scale: from the embedding, broadcastable.
    """
    return torch.addcmul(shift, x, 1 + scale)
