"""The exact denoiser of a data set: a mixture with every data point as a component."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .exact import ExactDensity
from .path import Level, Path


class Empirical(ExactDensity):
    """The exact denoiser of a data set, with N(point, std^2 I) for each point.

    E[x0 | x_t] is the network that a diffusion loss would reach on these data with unlimited
    capacity (Karras et al. 2022, eq. 57). Memory is (batch x points), so tens of thousands of
    images fit.

    Args:
        data: the points, (k, *shape of an item).
        path: the forward process of x_t.
        std: of each point; 0 for the data set itself.
        labels: the label of each point, for a condition.

    Raises:
        ValueError: for a negative std, or data that are empty or not finite.
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
        if self.std == 0 and isinstance(level.sigma, float) and level.sigma == 0:
            raise ValueError(
                "t: points have no density without noise; give a t with sigma > 0, or std > 0"
            )

        sigma = torch.as_tensor(level.sigma)
        signal_std = self.std * torch.as_tensor(level.alpha)

        return (sigma * sigma + signal_std * signal_std).to(self.means)

    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        variance = self._variance(level)
        # Distances by differences: expanding the square would cancel where sigma is small.
        squared = _squared_distances(x, level.alpha, self.means)
        norm = 0.5 * x.shape[1] * (2 * math.pi * variance).log()
        return self._log_weights(condition) - squared / (2 * variance) - norm

    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        nearest = self._log_joint(x, level, condition).softmax(1) @ self.means
        gap = (x - level.alpha * nearest) / self._variance(level)
        return nearest + level.alpha * self.std**2 * gap, level.sigma * gap

    def _deviation(self, chosen: Tensor, noise: Tensor) -> Tensor:
        return self.std * noise

    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one label per item, -1 for none; None for all points.
        """
        x = x_t.flatten(1)
        level = self.path.at(t, like=x)
        r = self._log_joint(x, level, condition).softmax(1)
        sigma = torch.as_tensor(level.sigma)
        variance = self._variance(level)
        # Posterior shrinkage towards each data point.
        shrink = (sigma * sigma / variance).to(x).reshape(-1, 1, 1)

        mean = r @ self.means
        second = torch.einsum("bk,kd,kf->bdf", r, self.means, self.means)
        second = second - mean[:, :, None] * mean[:, None]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)

        return self.std**2 * shrink * eye + shrink.square() * second


def _squared_distances(x: Tensor, alpha: Tensor | float, means: Tensor) -> Float[Tensor, "b k"]:
    """|x - alpha m_k|^2 = alpha^2 |x/alpha - m_k|^2 without an array (b, k, d)."""
    alpha = torch.as_tensor(alpha, dtype=x.dtype, device=x.device)
    signal = alpha > 0
    scale = torch.where(signal, alpha, 1.0)
    near = scale * torch.cdist(x / scale, means, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(signal, near, x.norm(dim=1, keepdim=True)).square()
