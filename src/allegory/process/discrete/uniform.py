"""Tokens that are replaced by any value; of two values, the binomial diffusion of 2015."""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from .path import TokenPath, TokenPrediction, last_axis


class UniformPath(TokenPath):
    """Tokens are replaced by any value, all alike (D3PM; Sohl-Dickstein et al. 2015 for K = 2).

    Args:
        values: K.
        end: alpha at t = 1; 0 for no signal at all.
    """

    @property
    def states(self) -> int:
        """K."""
        return self.values

    @property
    def pi(self) -> Float64[Tensor, " states"]:
        """1/K each."""
        return torch.full((self.values,), 1 / self.values, dtype=torch.float64)

    def rate(
        self, prediction: TokenPrediction, x0: Int64[Tensor, "b *shape"]
    ) -> Float64[Tensor, " b"]:
        """The formula of the module, with c = (1 - alpha)/K in place of (1 - alpha) pi."""
        level, x_t = prediction.level, prediction.x_t
        alpha, c = last_axis(level.alpha), last_axis(level.noise) / self.values

        q = self._mixed(x0, level.alpha, level.noise)
        w = prediction.x0.probs / self.likelihood(x_t, level)
        predicted = alpha * w + c * w.sum(-1, keepdim=True)
        ratio = q / q.gather(-1, x_t[..., None])

        others = nn.functional.one_hot(x_t, self.values) == 0
        terms = predicted - ratio + ratio * (ratio.log() - predicted.log())
        total = torch.where(others, terms, torch.zeros_like(terms)).sum(-1)
        each = -level.slope / level.alpha / self.values * total
        return each.flatten(1).sum(1)
