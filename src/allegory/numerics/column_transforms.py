r"""Monotone transforms of columns to standard normal ones, with their log-density.

The density of a column is a mixture of Gaussians, and F its distribution function. Then

    z = Phi^-1(F(x)),        log |dz/dx| = log F'(x) - log phi(z)

is standard normal where the mixture is right. One component is an affine map. In the tails z is
computed from the logarithm of the smaller of F and 1 - F.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn
from torch.special import log_ndtr, ndtr, ndtri

_PART_NUMBERS = 2**18
"""Numbers that are computed at once, one for each component."""
_BISECTIONS = 60
_NEWTON = 4
_FAR = 1e-5
"""Of the probability of a tail, below which its logarithm is computed."""


class ColumnTransforms(nn.Module):
    """One monotone transform per column, each by a mixture of Gaussians.

    Args:
        weights: of the components of each column; 0 for one that a column does not have.
        means: of the components.
        stds: of the components.
    """

    weights: Tensor
    means: Tensor
    stds: Tensor

    def __init__(
        self,
        weights: Float64[Tensor, "d m"],
        means: Float64[Tensor, "d m"],
        stds: Float64[Tensor, "d m"],
    ) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("stds", stds)

    def forward(
        self, x: Float64[Tensor, "b d"]
    ) -> tuple[Float64[Tensor, "b d"], Float64[Tensor, "b d"]]:
        """z, and log |dz/dx| of each number.

        Args:
            x: columns.
        """
        parts = [self._with_slope(part) for part in x.split(self._rows_at_once())]
        z, slope = (torch.cat(each) for each in zip(*parts, strict=True))
        return z, slope

    def _rows_at_once(self) -> int:
        """How many rows with a number for every component fit in memory together."""
        return max(1, _PART_NUMBERS // max(1, self.means.numel()))

    def _with_slope(
        self, x: Float64[Tensor, "b d"]
    ) -> tuple[Float64[Tensor, "b d"], Float64[Tensor, "b d"]]:
        """`forward` of a part of the rows."""
        z = self.normal(x)
        u = (x[..., None] - self.means) / self.stds
        log_normal = -0.5 * (u.square() + math.log(2 * math.pi)) - self.stds.log()
        slope = (self.weights.log() + log_normal).logsumexp(-1)
        return z, slope + 0.5 * (z.square() + math.log(2 * math.pi))

    def normal(self, x: Float64[Tensor, "b d"]) -> Float64[Tensor, "b d"]:
        """z alone.

        Args:
            x: columns.
        """
        if self.means.shape[1] == 1:
            return (x - self.means[:, 0]) / self.stds[:, 0]

        below = (self.weights * ndtr((x[..., None] - self.means) / self.stds)).sum(-1)
        is_far = (below < _FAR) | (below > 1 - _FAR)
        z: Tensor = ndtri(torch.where(is_far, 0.5, below))
        if bool(is_far.any()):
            z = z.index_put((is_far,), self._far(x, is_far))
        return z

    def _far(self, x: Float64[Tensor, "b d"], is_far: Bool[Tensor, "b d"]) -> Float64[Tensor, " n"]:
        """z of numbers in the tails, from the logarithm of the smaller of F and 1 - F."""
        of_column = is_far.nonzero()[:, 1]
        column = ColumnTransforms(*(each[of_column] for each in self.buffers()))
        below, above = column._log_tails(x[is_far][None])
        return torch.where(below < above, _log_quantile(below), -_log_quantile(above))[0]

    def inverse(self, z: Float64[Tensor, "b d"]) -> Float64[Tensor, "b d"]:
        """x of z, by bisection.

        It lies between the least and the largest m + s z of the components: left of all of them F
        is below Phi(z), and right of them above.
        """
        if self.means.shape[1] == 1:
            return self.means[:, 0] + self.stds[:, 0] * z

        each = self.means + self.stds * z[..., None]
        is_used = self.weights > 0
        low = torch.where(is_used, each, math.inf).amin(-1)
        high = torch.where(is_used, each, -math.inf).amax(-1)
        log_p, log_rest = log_ndtr(z), log_ndtr(-z)

        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below, above = self._log_tails(middle)
            is_below = torch.where(z < 0, below < log_p, above > log_rest)
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        return (low + high) / 2

    def _log_tails(
        self, x: Float64[Tensor, "b d"]
    ) -> tuple[Float64[Tensor, "b d"], Float64[Tensor, "b d"]]:
        """log F and log(1 - F)."""
        u = (x[..., None] - self.means) / self.stds
        log_weights = self.weights.log()
        below = (log_weights + log_ndtr(u)).logsumexp(-1)
        return below, (log_weights + log_ndtr(-u)).logsumexp(-1)


def _log_quantile(log_p: Float64[Tensor, "*any"]) -> Float64[Tensor, "*any"]:
    """Phi^-1(p) for p <= 1/2 from log p: Newton's method on log Phi, from an asymptote."""
    log_p = log_p.clamp(max=-math.log(2))
    tail = -(-2 * log_p - (-2 * log_p).clamp(min=1.0).log() - math.log(2 * math.pi)).clamp(min=0)
    z = torch.where(log_p < -4, -tail.neg().clamp(min=0).sqrt(), ndtri(log_p.exp()))

    for _ in range(_NEWTON):
        log_phi = log_ndtr(z)
        slope = (-0.5 * z.square() - 0.5 * math.log(2 * math.pi) - log_phi).exp()
        z = z - (log_phi - log_p) / slope
    return z


def fit_transforms(
    train: Float64[Tensor, "n d"],
    validation: Float64[Tensor, "m d"],
    components: tuple[int, ...],
) -> ColumnTransforms:
    """The transforms of the highest log-probability of validation rows, for each column.

    Args:
        train: columns that they are fitted to; NaN for a number that is missing.
        validation: columns by which the number of components is chosen, likewise.
        components: numbers of components to try, rising.
    """
    width = max(components)
    parts = []
    for column, held_out in zip(train.T, validation.T, strict=True):
        x, other = (each[~each.isnan()] for each in (column, held_out))
        fits = [_fit_column(x, count) for count in components]
        scores = [float(_log_density(other if len(other) else x, fit).mean()) for fit in fits]
        best = fits[max(range(len(fits)), key=scores.__getitem__)]
        parts.append([_padded(each, width, fill) for each, fill in zip(best, _FILL, strict=True)])

    if not parts:
        return ColumnTransforms(*(train.new_zeros(0, 1) for _ in range(3)))
    weights, means, stds = (torch.stack(each) for each in zip(*parts, strict=True))
    used = int((weights > 0).sum(1).max())
    return ColumnTransforms(weights[:, :used], means[:, :used], stds[:, :used])


_FILL = (0.0, 0.0, 1.0)
_ROUNDS = 60
_LEAST = 1e-3
"""The least standard deviation of a component, relative to that of the column."""


def _fit_column(x: Float64[Tensor, " n"], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and standard deviations by expectation maximisation, from quantiles."""
    std = x.std(correction=0).clamp(min=1e-12) if len(x) > 1 else x.new_tensor(1.0)
    if count == 1:
        return x.new_ones(1), x.mean()[None] if len(x) else x.new_zeros(1), std[None]

    edges = (torch.arange(count, dtype=x.dtype) + 0.5) / count
    means = torch.quantile(x, edges) if len(x) else x.new_zeros(count)
    weights = x.new_full((count,), 1 / count)
    stds = (std / count).expand(count)
    for _ in range(_ROUNDS):
        u = (x[:, None] - means) / stds
        r = (weights.log() - 0.5 * u.square() - stds.log()).softmax(1)
        total = r.sum(0) + 1e-9
        means = r.T @ x / total
        variances = (r * (x[:, None] - means).square()).sum(0) / total
        stds = variances.sqrt().clamp(min=float(_LEAST * std))
        weights = total / total.sum()
    return weights, means, stds


def _log_density(x: Tensor, fit: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """log p of numbers, up to a constant."""
    weights, means, stds = fit
    u = (x[:, None] - means) / stds
    return (weights.log() - 0.5 * u.square() - stds.log()).logsumexp(1)


def _padded(x: Tensor, width: int, fill: float) -> Tensor:
    return torch.cat([x, x.new_full((width - len(x),), fill)])
