r"""Denoising losses: one squared error, one weight.

    loss = weight(log_snr) |x0_hat - x0|^2

A network trained on another target makes the same error in other units. With alpha dx0 + sigma deps = 0,

    |dx0|^2 = (sigma/det)^2 |dy|^2,        det = alpha b - sigma a   for the target y = a x0 + b eps,

so every loss is computed on the target that the network predicts (`Prediction.squared_error`), and its gradient does not
depend on the target.

Weights are given in x0-space for t uniform in [0, 1]. Those of the literature that are defined over log-SNR carry the
density -d log_snr/dt of the levels that uniform times visit (Kingma & Gao 2023, "Understanding diffusion objectives"):

    elbo      -log_snr'/2 SNR                    nats: the continuous-time bound (Kingma et al. 2021, eq. 15)
    simple    SNR                                |eps_hat - eps|^2 (Ho et al. 2020, eq. 14)
    min_snr   min(SNR, 5)                        Hang et al. 2023
    p2        SNR / (1 + SNR)                    Choi et al. 2022, k = gamma = 1
    edm       (SNR + 1/s^2) N(log_snr; 2.4, 2.4^2) (-log_snr')      Karras et al. 2022, table 1
    sigmoid   -log_snr'/2 SNR sigmoid(b - log_snr)                  Hoogeboom et al. 2024, b = -1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..process.coefficients import exp
from ..process.path import Level, Path, precise
from ..process.prediction import Predict, Prediction

Weight: TypeAlias = Callable[[Level], Tensor]
"""Level -> the weight of |x0_hat - x0|^2, broadcastable against the data."""


def elbo(level: Level) -> Tensor:
    """-log_snr'/2 SNR: summed over an item, its mean over t is the diffusion term of the bound in nats."""
    return torch.as_tensor(-0.5 * level.dlog_snr * exp(level.log_snr))


def simple(level: Level) -> Tensor:
    """SNR: the plain squared error of eps."""
    return torch.as_tensor(exp(level.log_snr))


def min_snr(ceiling: float = 5.0) -> Weight:
    """min(SNR, ceiling)."""
    return lambda level: simple(level).clamp(max=ceiling)


def p2(k: float = 1.0, gamma: float = 1.0) -> Weight:
    """SNR / (k + SNR)^gamma."""
    return lambda level: simple(level) / (k + simple(level)) ** gamma


def edm(data_std: float = 0.5, mean: float = 2.4, std: float = 2.4) -> Weight:
    """(SNR + 1/data_std^2) under a normal density of log-SNR; ln sigma ~ N(-1.2, 1.2^2) is log-SNR ~ N(2.4, 2.4^2)."""

    def weight(level: Level) -> Tensor:
        z = (torch.as_tensor(level.log_snr) - mean) / std
        density = torch.exp(-0.5 * z * z) / (std * math.sqrt(2 * math.pi))
        return (simple(level) + data_std**-2) * density * -torch.as_tensor(level.dlog_snr)

    return weight


def sigmoid(bias: float = -1.0) -> Weight:
    """The bound's weight times sigmoid(bias - log_snr): fine detail counts less."""
    return lambda level: elbo(level) * torch.sigmoid(bias - torch.as_tensor(level.log_snr))


WEIGHTS: dict[str, Weight] = {
    "elbo": elbo,
    "simple": simple,
    "min_snr": min_snr(),
    "p2": p2(),
    "edm": edm(),
    "sigmoid": sigmoid(),
}


def weight_named(name: str | Weight, data_std: float = 0.5) -> Weight:
    """The weight of this name; `edm` takes the standard deviation of the data. ValueError names the closest."""
    if name == "edm":
        return edm(data_std)
    return pick("weight", name, WEIGHTS) if isinstance(name, str) else name


def stratified_times(count: int, device: torch.device | None = None) -> Float[Tensor, " count"]:
    """Times (u + i/count) mod 1 with one uniform u: each is uniform, together they cover [0, 1] evenly.

    One random number serves the batch, so the loss of a batch varies far less than with independent times
    (Kingma et al. 2021, appendix).
    """
    dtype = precise(device)
    return (
        torch.rand((), dtype=dtype, device=device)
        + torch.arange(count, dtype=dtype, device=device) / count
    ) % 1


def denoising_loss(
    predict: Predict,
    path: Path,
    x0: Float[Tensor, "b *shape"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b *shape"],
    weight: Weight,
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """weight(log_snr) |x0_hat - x0|^2, summed over each item."""
    level = path.at(t, like=x0)
    truth = Prediction.of(x0, eps, level)
    prediction = predict(truth.x_t, level, condition)
    return (weight(level) * prediction.squared_error(truth, "x0")).flatten(1).sum(1)
