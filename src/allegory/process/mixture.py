"""Gaussian mixtures, computed in the eigenbasis of each covariance (equations in `exact.py`).

Isotropic components whose means span few of many dimensions are computed there (`mean_span.py`).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .exact import ExactDensity
from .mean_span import MeanSpan
from .mixture_kernel import Components, IsotropicComponents, step_coefficients
from .path import Level, Path

_MANY = 8
"""Dimensions from which on products of matrices, whose rounding depends on the batch, save time."""


class Mixture(ExactDensity):
    """A Gaussian mixture with its exact denoiser, density and samples.

    Args:
        means: one per component, shape (k, *shape of an item).
        stds: a number, one per component (k,), or (k, *shape) for diagonal covariances; None with
            `covariances`.
        path: the forward process of x_t.
        weights: one positive number per component, normalised here; None for equal weights.
        covariances: full covariances over flattened items, (k, d, d), in place of `stds`.
        labels: the label of each component, for a condition.

    Raises:
        ValueError: for shapes that do not fit, or widths that are not positive.
    """

    variances: Tensor
    axes: Tensor | None
    span: MeanSpan | None

    def __init__(
        self,
        means: Float[Tensor, "k *shape"],
        stds: Tensor | float | None,
        *,
        path: Path,
        weights: Tensor | None = None,
        covariances: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__(means, weights, path, labels)
        if (stds is None) == (covariances is None):
            raise ValueError("give either stds or covariances")

        axes = None
        if covariances is not None:
            variances, axes = torch.linalg.eigh(_covariances(covariances, means))
        else:
            variances = _diagonal(torch.as_tensor(stds, dtype=means.dtype), means).square()
        if not bool((variances > 0).all()):
            raise ValueError(
                f"stds, covariances: smallest variance {variances.min():g}; "
                "give positive widths (Empirical takes std=0)"
            )

        same = axes is None and bool((variances == variances[0, 0]).all())
        self._variance = float(variances[0, 0]) if same else None
        self.register_buffer("variances", variances)
        self.register_buffer("axes", axes)
        self.span = _narrow_span(self.means, variances) if axes is None else None

    def _gaps(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """x_t - alpha m_k in the eigenbasis of component k, and V_k there: both (b, k, d)."""
        alpha, sigma = _deeper(level.alpha), _deeper(level.sigma)
        gap = x[:, None] - alpha * self.means
        return self._rotated(gap), (alpha * alpha) * self.variances + sigma * sigma

    def _rotated(self, x: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        """In the eigenbasis of component k."""
        return x if self.axes is None else torch.einsum("bkd,kde->bke", x, self.axes)

    def _back(self, rotated: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        return rotated if self.axes is None else torch.einsum("bke,kde->bkd", rotated, self.axes)

    def _log_joint(self, x: Tensor, level: Level, condition: Tensor | None) -> Float[Tensor, "b k"]:
        if self.span is not None:
            return self._log_weights(condition) + self.span.log_prob(x, level)

        gap, variance = self._gaps(x, level)
        quadratic = (gap.square() / variance + (2 * math.pi * variance).log()).sum(-1)
        return self._log_weights(condition) - 0.5 * quadratic

    def _components(
        self, x: Tensor, level: Level, condition: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """r_k, mu_k and sigma V_k^-1 (x_t - alpha m_k)."""
        gap, variance = self._gaps(x, level)
        scaled_gap = gap / variance
        mean = self.means + self._back(_deeper(level.alpha) * self.variances * scaled_gap)
        noise = self._back(_deeper(level.sigma) * scaled_gap)
        return self._log_joint(x, level, condition).softmax(1)[..., None], mean, noise

    def _expect(self, x: Tensor, level: Level, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.span is not None:
            return self.span.expect(self._log_weights(condition), x, level)

        r, mean, noise = self._components(x, level, condition)
        return (r * mean).sum(1), (r * noise).sum(1)

    def _deviation(self, chosen: Tensor, noise: Tensor) -> Tensor:
        scaled = self.variances[chosen].sqrt() * noise
        if self.axes is None:
            return scaled
        return torch.einsum("be,bde->bd", scaled, self.axes[chosen])

    def covariance(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Float[Tensor, "b d d"]:
        """Cov[x0 | x_t], over flattened items.

        Args:
            x_t: states, (batch, *shape).
            t: one time, one per item, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
        x = x_t.flatten(1)
        level = self.path.at(t, like=x)
        r, mean, _ = self._components(x, level, condition)
        _, variance = self._gaps(x, level)
        r = r[..., 0]

        sigma = _deeper(level.sigma)
        within = ((sigma * sigma) * self.variances / variance).expand(len(x), -1, -1)
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        axes = eye.expand(len(self.means), -1, -1) if self.axes is None else self.axes
        inside = torch.einsum("bk,bke,kde,kfe->bdf", r, within, axes, axes)

        centred = mean - (r[..., None] * mean).sum(1, keepdim=True)
        return inside + torch.einsum("bk,bkd,bkf->bdf", r, centred, centred)

    def marginal(
        self, t: float | Level, condition: Tensor | None = None
    ) -> Components | IsotropicComponents:
        """The density of x_t, to draw from.

        Args:
            t: the time, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
        level = self.path.at(t)
        log_weights, squared = self._log_weights(condition), level.alpha * level.alpha
        if self._variance is not None:
            variance = squared * self._variance + level.sigma * level.sigma
            origin = self.means.new_zeros(1, self.means.shape[1])
            return IsotropicComponents(
                log_weights, origin, level.alpha, self.means, variance, self.shape
            )

        variances = squared * self.variances + level.sigma * level.sigma
        centres = level.alpha * self._rotated(self.means[None])
        return Components(log_weights, centres, variances, self.axes, self.shape)

    def reverse_kernel(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Components | IsotropicComponents:
        """p(x_s | x_t), exactly (see `mixture_kernel`).

        Args:
            x_t: states.
            t: their time, or a Level.
            s: the time to reach, less than t, or a Level.
            condition: one label per item, -1 for none; None for all components.
        """
        x = x_t.flatten(1)
        here, to = self.path.at(t, like=x), self.path.at(s, like=x)
        log_weights = self._log_joint(x, here, condition).log_softmax(1)
        if self._variance is not None:
            slope, scale, variance = step_coefficients(self._variance, to, here)
            return IsotropicComponents(
                log_weights, slope * x, scale, self.means, variance, self.shape
            )

        # The scales broadcast against (b, k, d).
        x = x[:, None].expand(-1, len(self.means), -1)
        here, to = self.path.at(t, like=x), self.path.at(s, like=x)
        slope, scale, variances = step_coefficients(self.variances, to, here)
        centres = scale * self._rotated(self.means[None]) + slope * self._rotated(x)
        return Components(log_weights, centres, torch.as_tensor(variances), self.axes, self.shape)


def _deeper(scale: Tensor | float) -> Tensor | float:
    """A scale of shape (b, 1) as (b, 1, 1), to meet (b, k, d)."""
    return scale[:, None] if isinstance(scale, Tensor) and scale.ndim == 2 else scale


def _narrow_span(means: Tensor, variances: Tensor) -> MeanSpan | None:
    """The span of the means of isotropic components, where that is at most a fourth of all
    dimensions and these are many; else None, and each item is computed by itself to the last bit.
    """
    dims = means.shape[1]
    isotropic = bool((variances == variances[:, :1]).all())
    if not isotropic or dims < _MANY:
        return None

    span = MeanSpan(means, variances[:, 0])
    return span if 4 * span.rank <= dims else None


def _diagonal(stds: Tensor, means: Tensor) -> Float[Tensor, "k d"]:
    """Widths as (k, d): from a number, one per component, or one per component and coordinate."""
    if stds.shape == means.shape:
        return stds.flatten(1)
    if stds.ndim == 0 or stds.shape == means.shape[:1]:
        return stds.reshape(-1, 1).expand(len(means), means.flatten(1).shape[1]).contiguous()
    raise ValueError(
        f"stds: shape {tuple(stds.shape)} for means {tuple(means.shape)}; "
        "give a number, (k,) or the shape of means"
    )


def _covariances(given: Tensor, means: Tensor) -> Float[Tensor, "k d d"]:
    """The matrices, once they are known to be one symmetric matrix per component."""
    dims = means.flatten(1).shape[1]
    fits = given.shape == (len(means), dims, dims)
    if not fits or not torch.allclose(given, given.mT, rtol=1e-5, atol=1e-8):
        raise ValueError(
            f"covariances: shape {tuple(given.shape)}; "
            f"give a symmetric matrix each, ({len(means)}, {dims}, {dims})"
        )

    return given
