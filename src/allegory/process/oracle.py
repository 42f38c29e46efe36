r"""Oracles: data distributions whose noised density, score and denoiser are known exactly.

If x0 is a mixture of N(m_k, C_k) with weights w_k, then x_t = alpha x0 + sigma eps is a mixture of
N(alpha m_k, V_k) with V_k = alpha^2 C_k + sigma^2 I. With responsibilities r_k = p(k | x_t),

    E[x0 | x_t]   = sum_k r_k mu_k,        mu_k = m_k + alpha C_k V_k^-1 (x_t - alpha m_k)
    E[eps | x_t]  = sigma sum_k r_k V_k^-1 (x_t - alpha m_k)  =  -sigma grad log p(x_t)    (Luo 2022, eq. 131, 151)
    Cov[x0 | x_t] = sum_k r_k (S_k + mu_k mu_k^T) - E[x0|x_t] E[x0|x_t]^T,   S_k = sigma^2 C_k V_k^-1.

`Mixture` computes in the eigenbasis of each C_k. `Empirical` is the same with every data point as a component of one
isotropic width: the denoiser that minimises the training loss on that data set exactly.

A condition is a label per item, -1 for none: it keeps the components with that label.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .path import Level, Path
from .prediction import Prediction


class Oracle(nn.Module, ABC):
    """A Predict that is exact, with the density that it belongs to."""

    means: Tensor
    log_weights: Tensor
    labels: Tensor | None

    def __init__(self, means: Tensor, weights: Tensor | None, path: Path, labels: Tensor | None) -> None:
        super().__init__()
        if means.ndim < 2 or len(means) == 0:
            raise ValueError(f"means: shape {tuple(means.shape)}; give (components, *shape of an item)")
        weights = (
            torch.ones(len(means), dtype=means.dtype)
            if weights is None
            else torch.as_tensor(weights, dtype=means.dtype)
        )
        if weights.shape != means.shape[:1] or not bool((weights > 0).all()):
            raise ValueError(
                f"weights: {weights.tolist()[:8]} for {len(means)} components; give one positive number each"
            )
        self.path = path
        self.shape = means.shape[1:]
        self.register_buffer("means", means.flatten(1))
        self.register_buffer("log_weights", (weights / weights.sum()).log())
        self.register_buffer("labels", labels)

    def forward(self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None) -> Prediction:
        """E[x0 | x_t] and E[eps | x_t]."""
        flat = x_t.flatten(1)
        x0, eps = self._expect(flat, self.path.at(t, like=flat), condition)
        return Prediction.of(x0.reshape(x_t.shape), eps.reshape(x_t.shape), self.path.at(t, like=x_t))

    def log_prob(
        self,
        x: Float[Tensor, "b *shape"],
        t: Tensor | float | Level | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """log p(x_t) in nats per item; of clean data when t is None."""
        flat = x.flatten(1)
        level = self.path.clean if t is None else self.path.at(t, like=flat)
        return self._log_joint(flat, level, condition).logsumexp(1)

    def sample(
        self,
        count: int,
        seed: int,
        t: float | Level | None = None,
        condition: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n *shape"]:
        """Exact draws of x_t, of clean data when t is None."""
        generator = torch.Generator().manual_seed(seed)
        weights = self._log_weights(condition).exp().cpu().expand(count, -1)
        chosen = torch.multinomial(weights, 1, generator=generator)[:, 0].to(self.means.device)
        noise = torch.randn(2, count, self.means.shape[1], generator=generator, dtype=self.means.dtype).to(
            self.means.device
        )
        x0 = self.means[chosen] + self._spread(chosen, noise[0])
        level = self.path.clean if t is None else self.path.at(t)
        return level.mix(x0, noise[1]).reshape(count, *self.shape)

    def _log_weights(self, condition: Tensor | None) -> Float[Tensor, "b k"]:
        """log p(k | condition), one row for all items or one each."""
        if condition is None:
            return self.log_weights[None]
        if self.labels is None:
            raise ValueError("condition: this oracle has no labels; give labels=, one per component")
        allowed = (condition[:, None] == self.labels) | (condition[:, None] < 0)
        return self.log_weights.masked_fill(~allowed, -math.inf).log_softmax(1)

    @abstractmethod
    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        """log p(k, x_t)."""

    @abstractmethod
    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """E[x0 | x_t] and E[eps | x_t], flat."""

    @abstractmethod
    def _spread(self, chosen: Tensor, noise: Tensor) -> Tensor:
        """C_k^(1/2) noise for the chosen components."""

    @abstractmethod
    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items."""


class Mixture(Oracle):
    """A Gaussian mixture: means (k, *shape), weights (k,) and one of three kinds of width.

    `stds` is a number, (k,), or (k, *shape) for a diagonal covariance; (k, d, d) `covariances` give full ones over
    flattened items. ValueError for shapes that do not fit or widths that are not positive.
    """

    variances: Tensor
    axes: Tensor | None

    def __init__(
        self,
        means: Float[Tensor, "k *shape"],
        stds: Tensor | float | None,
        weights: Tensor | None,
        path: Path,
        *,
        covariances: Float[Tensor, "k d d"] | None = None,
        labels: Int[Tensor, " k"] | None = None,
    ) -> None:
        super().__init__(means, weights, path, labels)
        if (stds is None) == (covariances is None):
            raise ValueError("give either stds or covariances")
        if covariances is not None:
            variances, axes = torch.linalg.eigh(covariances)
        else:
            variances, axes = _diagonal(torch.as_tensor(stds, dtype=means.dtype), means).square(), None
        if not bool((variances > 0).all()):
            raise ValueError(
                f"stds, covariances: smallest variance {variances.min():g}; give positive widths (Empirical takes std=0)"
            )
        self.register_buffer("variances", variances)
        self.register_buffer("axes", axes)

    def _gaps(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """x_t - alpha m_k in the eigenbasis of component k, and V_k there: both (b, k, d)."""
        alpha, sigma = _deeper(level.alpha), _deeper(level.sigma)
        gap = x[:, None] - alpha * self.means
        gap = gap if self.axes is None else torch.einsum("bkd,kde->bke", gap, self.axes)
        return gap, (alpha * alpha) * self.variances + sigma * sigma

    def _back(self, rotated: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        return rotated if self.axes is None else torch.einsum("bke,kde->bkd", rotated, self.axes)

    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        gap, variance = self._gaps(x, level)
        quadratic = (gap.square() / variance + (2 * math.pi * variance).log()).sum(-1)
        return self._log_weights(condition) - 0.5 * quadratic

    def _components(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """r_k, mu_k and sigma V_k^-1 (x_t - alpha m_k)."""
        gap, variance = self._gaps(x, level)
        pull = gap / variance
        mean = self.means + self._back(_deeper(level.alpha) * self.variances * pull)
        noise = self._back(_deeper(level.sigma) * pull)
        return self._log_joint(x, level, condition).softmax(1)[..., None], mean, noise

    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        r, mean, noise = self._components(x, level, condition)
        return (r * mean).sum(1), (r * noise).sum(1)

    def _spread(self, chosen: Tensor, noise: Tensor) -> Tensor:
        scaled = self.variances[chosen].sqrt() * noise
        return scaled if self.axes is None else torch.einsum("be,bde->bd", scaled, self.axes[chosen])

    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items."""
        x = x_t.flatten(1)
        level = self.path.at(t, like=x)
        r, mean, _ = self._components(x, level, condition)
        _, variance = self._gaps(x, level)
        sigma = _deeper(level.sigma)
        within = (sigma * sigma) * self.variances / variance
        centred = mean - (r * mean).sum(1, keepdim=True)
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        axes = eye.expand(len(self.means), -1, -1) if self.axes is None else self.axes
        return torch.einsum("bk,bke,kde,kfe->bdf", r[..., 0], within.expand(len(x), -1, -1), axes, axes) + torch.einsum(
            "bk,bkd,bkf->bdf", r[..., 0], centred, centred
        )


class Empirical(Oracle):
    """The exact denoiser of a data set, each point widened to N(point, std^2 I); std = 0 is the data set itself.

    Memory is (batch x points), so tens of thousands of images fit. E[x0 | x_t] is the network that a diffusion loss
    would reach on this data with unlimited capacity (Karras et al. 2022, eq. 57).
    """

    def __init__(
        self,
        data: Float[Tensor, "k *shape"],
        path: Path,
        std: float = 0.0,
        labels: Int[Tensor, " k"] | None = None,
    ) -> None:
        super().__init__(data, None, path, labels)
        if std < 0:
            raise ValueError(f"std={std}; give 0 or more")
        self.std = std

    def _variance(self, level: Level) -> Tensor:
        sigma, narrow = torch.as_tensor(level.sigma), self.std * torch.as_tensor(level.alpha)
        return (sigma * sigma + narrow * narrow).to(self.means)

    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        variance = self._variance(level)
        # Distances are taken as differences: expanding the square would cancel where sigma is small.
        squared = _squared_distances(x, level.alpha, self.means)
        norm = 0.5 * x.shape[1] * (2 * math.pi * variance).log()
        return self._log_weights(condition) - squared / (2 * variance) - norm

    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        nearest = self._log_joint(x, level, condition).softmax(1) @ self.means
        gap = (x - level.alpha * nearest) / self._variance(level)
        return nearest + level.alpha * self.std**2 * gap, level.sigma * gap

    def _spread(self, chosen: Tensor, noise: Tensor) -> Tensor:
        return self.std * noise

    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items."""
        x = x_t.flatten(1)
        level = self.path.at(t, like=x)
        r = self._log_joint(x, level, condition).softmax(1)
        sigma, variance = torch.as_tensor(level.sigma), self._variance(level)
        shrink = (sigma * sigma / variance).to(x).reshape(-1, 1, 1)  # of a point's pull, what its width leaves
        mean = r @ self.means
        second = torch.einsum("bk,kd,kf->bdf", r, self.means, self.means) - mean[:, :, None] * mean[:, None]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return self.std**2 * shrink * eye + shrink.square() * second


def _squared_distances(x: Tensor, alpha: Tensor | float, means: Tensor) -> Float[Tensor, "b k"]:
    if isinstance(alpha, Tensor) and alpha.numel() > 1:
        # One alpha an item: a batched distance of one row each.
        return torch.cdist(x[:, None], alpha[:, None] * means, compute_mode="donot_use_mm_for_euclid_dist")[
            :, 0
        ].square()
    return torch.cdist(x, alpha * means, compute_mode="donot_use_mm_for_euclid_dist").square()


def _deeper(scale: Tensor | float) -> Tensor | float:
    """A scale of shape (b, 1) as (b, 1, 1), to meet (b, k, d)."""
    return scale[:, None] if isinstance(scale, Tensor) and scale.ndim == 2 else scale


def _diagonal(stds: Tensor, means: Tensor) -> Float[Tensor, "k d"]:
    """Widths as (k, d): from a number, one per component, or one per component and coordinate."""
    if stds.shape == means.shape:
        return stds.flatten(1)
    if stds.ndim == 0 or stds.shape == means.shape[:1]:
        return stds.reshape(-1, 1).expand(len(means), means.flatten(1).shape[1]).contiguous()
    raise ValueError(
        f"stds: shape {tuple(stds.shape)} for means {tuple(means.shape)}; give a number, (k,) or the shape of means"
    )
