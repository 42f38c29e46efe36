"""The exact denoiser of a data set: a mixture with every data point as a component."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .exact import ExactDensity
from .mixture_kernel import IsotropicComponents, squared_distances, step_coefficients
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

        dtype = self.means.dtype
        sigma = torch.as_tensor(level.sigma, dtype=dtype)
        signal_std = self.std * torch.as_tensor(level.alpha, dtype=dtype)

        return (sigma * sigma + signal_std * signal_std).to(self.means)

    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        variance = self._variance(level)
        # Distances by differences: expanding the square would cancel where sigma is small.
        squared = squared_distances(x, level.alpha, self.means)
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
        sigma = torch.as_tensor(level.sigma, dtype=x.dtype)
        variance = self._variance(level)
        # Posterior shrinkage towards each data point.
        shrink = (sigma * sigma / variance).to(x).reshape(-1, 1, 1)

        mean = r @ self.means
        second = torch.einsum("bk,kd,kf->bdf", r, self.means, self.means)
        second = second - mean[:, :, None] * mean[:, None]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)

        return self.std**2 * shrink * eye + shrink.square() * second

    def marginal(
        self, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> IsotropicComponents:
        """The density of x_t, to draw from.

        Args:
            t: one time, or a Level.
            condition: one label per item, -1 for none; None for all points.
        """
        level = self.path.at(t)
        variance = level.alpha * level.alpha * self.std**2 + level.sigma * level.sigma
        origin = self.means.new_zeros(1, self.means.shape[1])
        return IsotropicComponents(
            self._log_weights(condition), origin, level.alpha, self.means, variance, self.shape
        )

    def reverse_kernel(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> IsotropicComponents:
        """p(x_s | x_t), exactly (see `mixture_kernel`).

        Args:
            x_t: states.
            t: their time, or a Level.
            s: the time to reach, less than t, or a Level.
            condition: one label per item, -1 for none; None for all points.
        """
        x = x_t.flatten(1)
        here, to = self.path.at(t, like=x), self.path.at(s, like=x)
        slope, scale, variance = step_coefficients(self.std**2, to, here)
        log_weights = self._log_joint(x, here, condition).log_softmax(1)
        return IsotropicComponents(log_weights, slope * x, scale, self.means, variance, self.shape)
