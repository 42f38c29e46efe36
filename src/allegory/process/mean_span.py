r"""Isotropic Gaussian mixtures in the span of their means.

With components N(m_k, v_k I), a centre c, and orthonormal columns Q that span all m_k - c,

    x_t - alpha m_k = Q (z - alpha q_k) + e,     z = Q^T (x_t - alpha c),   q_k = Q^T (m_k - c)
                                                 e = x_t - alpha c - Q z

and e is common to all components. So densities and posterior means cost (b, k, r) numbers with the
rank r of the means, and (b, d), in place of (b, k, d). Nothing is subtracted that the sums over all
d dimensions do not subtract too, so no digits are lost.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .path import Level


class MeanSpan(nn.Module):
    """The span of the means of an isotropic mixture.

    Args:
        means: one per component.
        variances: one per component.
    """

    centre: Tensor
    basis: Tensor
    coordinates: Tensor
    variances: Tensor

    def __init__(self, means: Float[Tensor, "k d"], variances: Float[Tensor, " k"]) -> None:
        super().__init__()
        centre = means.mean(0)
        _, sizes, rows = torch.linalg.svd(means - centre, full_matrices=False)
        smallest = sizes.max() * max(means.shape) * torch.finfo(means.dtype).eps
        basis = rows[sizes > smallest].mT.contiguous()

        for name, value in (
            ("centre", centre),
            ("basis", basis),
            ("coordinates", (means - centre) @ basis),
            ("variances", variances),
        ):
            self.register_buffer(name, value, persistent=False)

    @property
    def rank(self) -> int:
        """r, the dimension of the span."""
        return self.basis.shape[1]

    def log_prob(self, x: Float[Tensor, "b d"], level: Level) -> Float[Tensor, "b k"]:
        """log p(x_t | k) in nats.

        Args:
            x: x_t.
            level: its Level.
        """
        return _log_prob(*self._gaps(x, level))

    def expect(
        self, log_weights: Float[Tensor, "rows k"], x: Float[Tensor, "b d"], level: Level
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """E[x0 | x_t] and E[eps | x_t].

        Args:
            log_weights: log p(k), one row for all items or one each.
            x: x_t.
            level: its Level.
        """
        gaps, rest, variance = self._gaps(x, level)
        responsibilities = (log_weights + _log_prob(gaps, rest, variance)).softmax(1)

        gains = level.alpha * self.variances / variance
        moved = self.coordinates + gains[..., None] * gaps
        outside = (responsibilities * gains).sum(-1, keepdim=True)
        x0 = torch.addcmul(self.centre + self._back(responsibilities, moved), outside, rest)

        noises = level.sigma / variance
        outside = (responsibilities * noises).sum(-1, keepdim=True)
        inside = self._back(responsibilities, noises[..., None] * gaps)
        return x0, torch.addcmul(inside, outside, rest)

    def _gaps(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor]:
        """z - alpha q_k (b, k, r), e (b, d), and V_k, (k,) or (b, k)."""
        offset = x - level.alpha * self.centre
        z = offset @ self.basis
        rest = torch.addmm(offset, z, self.basis.mT, alpha=-1)

        deep = level.alpha[..., None] if isinstance(level.alpha, Tensor) else level.alpha
        gaps = z[:, None] - deep * self.coordinates
        alpha, sigma = level.alpha, level.sigma
        return gaps, rest, (alpha * alpha) * self.variances + sigma * sigma

    def _back(self, responsibilities: Tensor, inside: Tensor) -> Float[Tensor, "b d"]:
        return (responsibilities[..., None] * inside).sum(1) @ self.basis.mT


def _log_prob(gaps: Tensor, rest: Tensor, variance: Tensor) -> Float[Tensor, "b k"]:
    """log p(x_t | k) of the parts of x_t - alpha m_k, and V_k."""
    squared = gaps.square().sum(-1) + rest.square().sum(-1, keepdim=True)
    return -0.5 * (squared / variance + rest.shape[1] * (2 * math.pi * variance).log())
