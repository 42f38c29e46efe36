r"""Weights of the squared error |x0_hat - x0|^2 as functions of the noise level.

Weights are given in x0-space for t uniform in [0, 1]. Those of the literature that are defined over
log-SNR carry the density -d log_snr/dt of the log-SNR at uniform times (Kingma & Gao 2023,
"Understanding diffusion objectives"):

    elbo      -log_snr'/2 SNR              nats: continuous time (Kingma et al. 2021, eq. 15)
    simple    SNR                          |eps_hat - eps|^2 (Ho et al. 2020, eq. 14)
    min_snr   min(SNR, 5)                  Hang et al. 2023
    p2        SNR / (1 + SNR)              Choi et al. 2022, k = gamma = 1
    edm       (SNR + 1/s^2) N(log_snr; 2.4, 2.4^2) (-log_snr')    Karras et al. 2022, table 1
    sigmoid   -log_snr'/2 SNR sigmoid(b - log_snr)                Hoogeboom et al. 2024, b = -1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from ..lookup import Registry
from ..process.coefficients import exp
from ..process.path import Level

Weight: TypeAlias = Callable[[Level], Tensor]
"""Level -> the weight of |x0_hat - x0|^2, broadcastable against the data."""


@runtime_checkable
class ScaledByData(Protocol):
    """A weight that depends on the standard deviation of the data."""

    def for_data(self, data_std: float) -> Weight:
        """The weight for data of standard deviation `data_std`."""
        ...


def elbo_weight(level: Level) -> Tensor:
    """-log_snr'/2 SNR at this `level`.

    Summed over an item, its mean over t is the diffusion term of the bound in nats.
    """
    return torch.as_tensor(-0.5 * level.dlog_snr * exp(level.log_snr))


def simple_weight(level: Level) -> Tensor:
    """SNR at this `level`: the plain squared error of eps."""
    return torch.as_tensor(exp(level.log_snr))


def min_snr_weight(ceiling: float = 5.0) -> Weight:
    """min(SNR, ceiling)."""
    return lambda level: simple_weight(level).clamp(max=ceiling)


def p2_weight(k: float = 1.0, gamma: float = 1.0) -> Weight:
    """SNR / (k + SNR)^gamma."""
    return lambda level: simple_weight(level) / (k + simple_weight(level)) ** gamma


@dataclass(frozen=True)
class EdmWeight:
    """(SNR + 1/data_std^2) N(log_snr; mean, std^2) (-log_snr') (Karras et al. 2022, table 1).

    Args:
        data_std: standard deviation of the data. None takes that of the denoiser which is trained.
        mean: mean of log-SNR; 2.4 is their ln sigma of mean -1.2.
        std: standard deviation of log-SNR; 2.4 is their 1.2 of ln sigma.
    """

    data_std: float | None = None
    mean: float = 2.4
    std: float = 2.4

    def for_data(self, data_std: float) -> EdmWeight:
        """The same weight with this `data_std`, unless it has one."""
        known = data_std if self.data_std is None else self.data_std
        return EdmWeight(known, self.mean, self.std)

    def __call__(self, level: Level) -> Tensor:
        """The weight at this `level`. ValueError while data_std is None."""
        if self.data_std is None:
            raise ValueError(
                "data_std=None: give the standard deviation of the data to weight 'edm'"
            )

        z = (torch.as_tensor(level.log_snr) - self.mean) / self.std
        density = torch.exp(-0.5 * z * z) / (self.std * math.sqrt(2 * math.pi))
        return (
            (simple_weight(level) + self.data_std**-2) * density * -torch.as_tensor(level.dlog_snr)
        )


def sigmoid_weight(bias: float = -1.0) -> Weight:
    """The bound's weight times sigmoid(bias - log_snr): fine detail counts less."""
    return lambda level: elbo_weight(level) * torch.sigmoid(bias - torch.as_tensor(level.log_snr))


WEIGHTS: Registry[Weight] = Registry("weight")
"""Weights of |x0_hat - x0|^2 by name; each is an objective of the same name, but for `elbo`, which
has more terms.
"""


def weight_named(weight: str | Weight, data_std: float | None = None) -> Weight:
    """The weight of this name, e.g. "simple" or "min_snr:5"; a function as it is.

    Args:
        weight: a name of `WEIGHTS`, with a number after a colon where it has a parameter, or a
            function of a Level.
        data_std: standard deviation of the data, for a weight that depends on it (`edm`).

    Returns:
        A function of a Level.

    Raises:
        ValueError: for an unknown name, with the closest; for `edm` without data_std.
    """
    found = WEIGHTS.named(weight) if isinstance(weight, str) else weight
    if not isinstance(found, ScaledByData):
        return found
    if data_std is None:
        raise ValueError(
            f"weight={weight!r}: depends on the standard deviation of the data; give data_std, or "
            "train a Denoiser"
        )

    return found.for_data(data_std)
