r"""The Gaussian kernels of the forward process.

    marginal    q(x_t | x0)      = N(alpha_t x0, sigma_t^2 I)                              Luo 2022, eq. 70
    transition  q(x_t | x_s)     = N(alpha_t/alpha_s x_s, -sigma_t^2 expm1(d) I)           eq. 31, any two times s < t
    posterior   q(x_s | x_t, x0) = N(alpha_s x0 + sigma_s e^{d/2} eps, -sigma_s^2 expm1(d) I)          eq. 84

with d = log_snr_t - log_snr_s < 0 and eps = (x_t - alpha_t x0)/sigma_t. Of the noise that x_s
holds, the share e^{d} (in variance) is already seen in x_t; the rest is drawn afresh. `expm1` keeps
the digits that 1 - e^d would lose between neighbouring times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .coefficients import Coefficient, exp, expm1, sqrt, weighted_sum
from .path import Level
from .prediction import Prediction


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, std^2 I), with a standard deviation that broadcasts against the mean."""

    mean: Float[Tensor, "b *shape"]
    std: Coefficient

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """mean + std * noise."""
        return weighted_sum((1.0, self.mean), (self.std, noise))

    def log_prob(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log density in nats, summed over each item."""
        std = torch.as_tensor(self.std, dtype=x.dtype, device=x.device)
        z = (x - self.mean) / std
        return (-0.5 * (z * z + math.log(2 * math.pi)) - std.log()).flatten(1).sum(1)

    def kl(self, other: Gaussian) -> Float[Tensor, " b"]:
        """KL(self || other) in nats, summed over each item (Luo 2022, eq. 86)."""
        ratio = torch.as_tensor(self.std, dtype=self.mean.dtype) / torch.as_tensor(
            other.std, dtype=self.mean.dtype
        )
        gap = (self.mean - other.mean) / other.std
        return (0.5 * (ratio * ratio + gap * gap - 1) - ratio.log()).flatten(1).sum(1)


def marginal(x0: Float[Tensor, "b *shape"], level: Level) -> Gaussian:
    """q(x_t | x0) (Luo 2022, eq. 70)."""
    return Gaussian(level.alpha * x0, level.sigma)


def added_noise_std(scale: Coefficient, s: Level, t: Level) -> Coefficient:
    """scale * sqrt(1 - SNR_t/SNR_s): the noise that lies between two Levels, s the cleaner one."""
    return scale * sqrt(-expm1(t.log_snr_minus(s)))


def transition(x_s: Float[Tensor, "b *shape"], s: Level, t: Level) -> Gaussian:
    """q(x_t | x_s) for s < t (Luo 2022, eq. 31 for neighbouring times)."""
    return Gaussian(t.alpha / s.alpha * x_s, added_noise_std(t.sigma, s, t))


def posterior(prediction: Prediction, s: Level) -> Gaussian:
    """q(x_s | x_t, x0) for s < t, with x0 and eps as predicted at t (Luo 2022, eq. 84 and 94)."""
    shared = exp(prediction.level.log_snr_minus(s) / 2)
    return Gaussian(
        prediction.combine(s.alpha, s.sigma * shared), added_noise_std(s.sigma, s, prediction.level)
    )
