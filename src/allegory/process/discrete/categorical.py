"""Distributions over finitely many values, number by number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Categorical:
    """Independent tokens, each with its own distribution over k values.

    Args:
        log_probs: normalised log-probabilities, (batch, *shape, k).
    """

    log_probs: Float[Tensor, "b *shape k"]

    @property
    def probs(self) -> Float64[Tensor, "b *shape k"]:
        """The probabilities."""
        return self.log_probs.double().exp()

    @property
    def mean(self) -> Float64[Tensor, "b *shape"]:
        """The expectation of the index of the value."""
        probs = self.probs
        return probs @ torch.arange(probs.shape[-1], dtype=probs.dtype, device=probs.device)

    def draw(self, noise: Float[Tensor, "b *shape"]) -> Int64[Tensor, "b *shape"]:
        """The values at the quantiles of standard-normal numbers `noise`."""
        return self.quantile(torch.special.ndtr(noise.double()))

    def quantile(self, u: Float64[Tensor, "b *shape"]) -> Int64[Tensor, "b *shape"]:
        """The inverse of the cumulative distribution, in float64.

        A uniform number of 53 bits draws a value of probability 1e-7 as often as it should; sums of
        float32, or Gumbel noise of float32, do not.

        Args:
            u: uniform numbers in [0, 1), one per token.
        """
        cumulative = self.probs.cumsum(-1)
        total = cumulative[..., -1:].contiguous()
        below = torch.nextafter(total, torch.zeros_like(total))  # a value of probability 0 is none
        place = torch.minimum(u[..., None] * total, below)
        return torch.searchsorted(cumulative, place, right=True).squeeze(-1)

    def log_prob(self, x: Int64[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log P(x) in nats, summed over each item."""
        each = self.log_probs.gather(-1, x[..., None]).squeeze(-1)
        return each.flatten(1).sum(1)

    def kl(self, other: Categorical) -> Float[Tensor, " b"]:
        """KL(self || other) in nats, summed over each item; infinite where other excludes a value.

        Args:
            other: of the same values.
        """
        p = self.log_probs.exp()
        terms = torch.where(p > 0, p * (self.log_probs - other.log_probs), torch.zeros_like(p))
        return terms.flatten(1).sum(1)


def known(x: Int64[Tensor, "b *shape"], values: int) -> Float64[Tensor, "b *shape values"]:
    """Log-probabilities of tokens that are known: 0 for the value, -inf for all others.

    Args:
        x: the tokens, from 0 to values - 1.
        values: how many values there are.
    """
    return torch.nn.functional.one_hot(x, values).double().log()
