r"""The exact reverse kernel of a Gaussian mixture.

In component k, x_s and x_t are jointly Gaussian, so that for s < t

    p(x_s | x_t) = sum_k r_k N(alpha_s m_k + G_k (x_t - alpha_t m_k), P_k)        r_k = p(k | x_t)

    G_k = alpha_{t|s} V_s V_t^-1                    V = alpha^2 C_k + sigma^2 I
    P_k = sigma_{t|s}^2 V_s V_t^-1                  alpha_{t|s} = alpha_t/alpha_s

with sigma_{t|s}^2 = -sigma_t^2 expm1(log_snr_t - log_snr_s), the variance that the forward process
adds (Luo 2022, eq. 31 and 131). At the clean end, V_s = C_k. A chain of these kernels has exactly
the marginals of the mixture, with steps of any length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .coefficients import Coefficient, expm1
from .path import Level


@runtime_checkable
class MixtureKernel(Protocol):
    """A density of x_s given x_t that is a mixture of Gaussians."""

    def draw(self, noise: Tensor, uniform: Tensor, /) -> Float[Tensor, "b *shape"]:
        """x_s.

        Args:
            noise: standard-normal, (b, *shape).
            uniform: one number in [0, 1) per item.
        """
        ...

    def log_prob(self, x_s: Tensor, /) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        ...

    @property
    def has_density(self) -> bool:
        """Whether its variances are positive: False for the clean end of data that are points."""
        ...


@dataclass(frozen=True, eq=False)
class IsotropicComponents:
    """sum_k r_k N(offset + scale m_k, variance I), without an array (b, k, d).

    Args:
        log_weights: log r_k, one row per item, or one for all.
        offset: (b, d), or (1, d) for all items.
        scale: what multiplies the means.
        means: m_k, (k, d).
        variance: of every number.
        shape: of an item.
    """

    log_weights: Float[Tensor, "#b k"]
    offset: Float[Tensor, "#b d"]
    scale: Coefficient
    means: Float[Tensor, "k d"]
    variance: Coefficient
    shape: Sequence[int]

    @property
    def has_density(self) -> bool:
        """Whether the variance is positive."""
        return bool(torch.as_tensor(self.variance > 0).all())

    def draw(
        self, noise: Float[Tensor, "b *shape"], uniform: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """x_s: the component by its weight, then the normal draw.

        Args:
            noise: standard-normal.
            uniform: in [0, 1).
        """
        chosen = inverse_cdf(self.log_weights, uniform)
        std = torch.as_tensor(self.variance, dtype=noise.dtype).to(noise).sqrt()

        found = self.offset + self.scale * self.means[chosen] + std * noise.flatten(1)
        return found.reshape(len(noise), *self.shape)

    def log_prob(self, x_s: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        x = x_s.flatten(1)
        variance = torch.as_tensor(self.variance, dtype=x.dtype).to(x)
        squared = squared_distances(x - self.offset, self.scale, self.means)
        norm = 0.5 * x.shape[1] * (2 * math.pi * variance).log()
        return (self.log_weights - squared / (2 * variance) - norm).logsumexp(1)


@dataclass(frozen=True, eq=False)
class Components:
    """sum_k r_k N(m_k, U_k diag(variances_k) U_k^T).

    Args:
        log_weights: log r_k, one row per item, or one for all.
        means: U_k^T m_k, (b, k, d), or (1, k, d) for all items.
        variances: (k, d), or (b, k, d).
        axes: U_k, (k, d, d); None for the identity.
        shape: of an item.
    """

    log_weights: Float[Tensor, "#b k"]
    means: Float[Tensor, "#b k d"]
    variances: Float[Tensor, "*any"]
    axes: Float[Tensor, "k d d"] | None
    shape: Sequence[int]

    @property
    def has_density(self) -> bool:
        """Whether the variances are positive."""
        return bool((self.variances > 0).all())

    def draw(
        self, noise: Float[Tensor, "b *shape"], uniform: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """x_s: the component by its weight, then the normal draw.

        Args:
            noise: standard-normal.
            uniform: in [0, 1).
        """
        chosen = inverse_cdf(self.log_weights, uniform)
        means = self.means.expand(len(noise), -1, -1)
        stds = self.variances.sqrt().expand_as(means)
        item = torch.arange(len(noise), device=noise.device)
        found = means[item, chosen] + stds[item, chosen] * noise.flatten(1)

        if self.axes is not None:
            found = torch.einsum("be,bde->bd", found, self.axes[chosen])
        return found.reshape(len(noise), *self.shape)

    def log_prob(self, x_s: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        x = x_s.flatten(1)
        x = x[:, None] if self.axes is None else torch.einsum("bd,kde->bke", x, self.axes)
        terms = (x - self.means).square() / self.variances + (2 * math.pi * self.variances).log()
        return (self.log_weights - 0.5 * terms.sum(-1)).logsumexp(1)


def step_coefficients(
    variance: Coefficient, s: Level, t: Level
) -> tuple[Coefficient, Coefficient, Coefficient]:
    """Of x_t and of m_k in the mean of x_s, and its variance, along an axis of C_k.

    The mean is G_k x_t + (alpha_s - alpha_t G_k) m_k, and alpha_s - alpha_t G_k is
    alpha_s sigma_{t|s}^2 / V_t, which does not cancel.

    Args:
        variance: of x0 along that axis; the scales of s and t broadcast against it.
        s: the cleaner Level.
        t: the noisier one.
    """
    of_s = s.alpha * s.alpha * variance + s.sigma * s.sigma
    of_t = t.alpha * t.alpha * variance + t.sigma * t.sigma
    added = -t.sigma * t.sigma * expm1(t.log_snr_minus(s)) / of_t

    return (t.alpha / s.alpha) * (of_s / of_t), s.alpha * added, added * of_s


def inverse_cdf(log_weights: Float[Tensor, "#n k"], uniform: Float[Tensor, " n"]) -> Tensor:
    """The component at which the cumulative weight exceeds a number in [0, 1).

    Args:
        log_weights: one row, or one per item.
        uniform: one number per item.
    """
    cumulative = log_weights.double().exp().cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]

    if len(cumulative) == 1:
        return torch.searchsorted(cumulative[0], uniform.double(), right=True)
    return torch.searchsorted(cumulative, uniform.double()[:, None], right=True)[:, 0]


def squared_distances(
    x: Float[Tensor, "b d"], alpha: Coefficient, means: Float[Tensor, "k d"]
) -> Float[Tensor, "b k"]:
    """|x - alpha m_k|^2 without an array (b, k, d), by differences, which do not cancel.

    Args:
        x: states.
        alpha: one number, or (b, 1).
        means: m_k.
    """
    alpha = torch.as_tensor(alpha, dtype=x.dtype, device=x.device)
    signal = alpha > 0
    scale = torch.where(signal, alpha, 1.0)
    near = scale * torch.cdist(x / scale, means, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(signal, near, x.norm(dim=1, keepdim=True)).square()
