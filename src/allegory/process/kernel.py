r"""The Gaussian kernels of the forward process.

    marginal    q(x_t | x0)      = N(alpha_t x0, sigma_t^2 I)
    transition  q(x_t | x_s)     = N(alpha_t/alpha_s x_s, -sigma_t^2 expm1(d) I)
    posterior   q(x_s | x_t, x0) = N(alpha_s x0 + sigma_s e^{d/2} eps, -sigma_s^2 expm1(d) I)

(Luo 2022, eq. 70, 31 for any two times s < t, and 84)

with d = log_snr_t - log_snr_s < 0 and eps = (x_t - alpha_t x0)/sigma_t. Of the
variance of the noise in x_s, the fraction e^{d} is already in x_t; the rest is independent of x_t.
`expm1` keeps the digits that 1 - e^d would lose between neighbouring times.
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
    """The Gaussian N(mean, std^2 I).

    Args:
        mean: (batch, *shape).
        std: a standard deviation that broadcasts against the mean.
    """

    mean: Float[Tensor, "b *shape"]
    std: Coefficient

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """mean + std * noise."""
        return weighted_sum((1.0, self.mean), (self.std, noise))

    def log_prob(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log density at x in nats, summed over each item."""
        std = torch.as_tensor(self.std, dtype=x.dtype, device=x.device)
        z = (x - self.mean) / std
        return (-0.5 * (z * z + math.log(2 * math.pi)) - std.log()).flatten(1).sum(1)

    def kl(self, other: Gaussian) -> Float[Tensor, " b"]:
        """KL(self || other) in nats, summed over each item (Luo 2022, eq. 86)."""
        dtype = self.mean.dtype
        ratio = torch.as_tensor(self.std, dtype=dtype) / torch.as_tensor(other.std, dtype=dtype)
        gap = (self.mean - other.mean) / other.std
        return (0.5 * (ratio * ratio + gap * gap - 1) - ratio.log()).flatten(1).sum(1)


def marginal(x0: Float[Tensor, "b *shape"], level: Level) -> Gaussian:
    """q(x_t | x0) at a `level` (Luo 2022, eq. 70)."""
    return Gaussian(level.alpha * x0, level.sigma)


def added_noise_std(scale: Coefficient, s: Level, t: Level) -> Coefficient:
    """scale * sqrt(1 - SNR_t/SNR_s), the noise added between two Levels.

    Args:
        scale: sigma_t or sigma_s.
        s: the cleaner Level.
        t: the noisier one.
    """
    return scale * sqrt(-expm1(t.log_snr_minus(s)))


def transition(x_s: Float[Tensor, "b *shape"], s: Level, t: Level) -> Gaussian:
    """q(x_t | x_s) for s < t (Luo 2022, eq. 31 for neighbouring times)."""
    return Gaussian(t.alpha / s.alpha * x_s, added_noise_std(t.sigma, s, t))


def step_stds(s: Level, t: Level) -> tuple[Coefficient, Coefficient]:
    """The smallest and the largest standard deviation of a reverse step from t to s < t.

    Those of q(x_s | x_t, x0) and q(x_t | x_s): the square roots of beta-tilde and beta (Ho et al.
    2020, section 3.2).
    """
    return added_noise_std(s.sigma, s, t), added_noise_std(t.sigma, s, t)


def posterior(prediction: Prediction, s: Level) -> Gaussian:
    """q(x_s | x_t, x0) for s < t (Luo 2022, eq. 84 and 94).

    Args:
        prediction: x0 and eps at t, as they are known or predicted.
        s: the cleaner Level.
    """
    t = prediction.level
    shared = exp(t.log_snr_minus(s) / 2)
    mean = prediction.combine(s.alpha, s.sigma * shared)
    return Gaussian(mean, added_noise_std(s.sigma, s, t))


VARIANCES = ("posterior", "large", "learned")
"""The variances of a reverse step: beta-tilde, beta, and the learned one between them."""


def reverse_step(prediction: Prediction, s: Level, variance: str | None = None) -> Gaussian:
    """p(x_s | x_t) of a model, for s < t: the mean of the posterior, and one of three variances.

    Args:
        prediction: what the model predicts at t.
        s: the cleaner Level.
        variance: "posterior" for that of q(x_s | x_t, x0), "large" for that of q(x_t | x_s),
            "learned" for exp(v log large + (1 - v) log posterior) with the prediction's fraction v,
            per number (Nichol & Dhariwal 2021, eq. 15). None: learned where the model learned it,
            else "posterior".

    Raises:
        ValueError: for another variance, and for "learned" where the model did not learn it.
    """
    step = posterior(prediction, s)
    fraction = variance_fraction(prediction, variance)
    if fraction is None:
        return step

    low, high = step_stds(s, prediction.level)
    ratio = torch.as_tensor(high / low, dtype=step.mean.dtype, device=step.mean.device)
    return Gaussian(step.mean, low * ratio**fraction)


def variance_fraction(prediction: Prediction, variance: str | None) -> Tensor | float | None:
    """The fraction v of a `variance` of `reverse_step`; None for that of the posterior."""
    learned = prediction.variance_fraction
    if variance is None:
        return learned
    if variance not in VARIANCES:
        raise ValueError(f"variance={variance!r}; give one of {', '.join(VARIANCES)}, or None")
    if variance == "learned" and learned is None:
        raise ValueError(
            "variance='learned': the predictions of this model have none; use variance="
            "'posterior' or 'large'"
        )

    return {"posterior": None, "large": 1.0, "learned": learned}[variance]
