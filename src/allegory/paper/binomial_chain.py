"""A chain of bits with the binomial kernels of Sohl-Dickstein et al. 2015, by tables of all states.

Nothing here uses the library's processes; the checks compare them with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

BITS = 3

STATES: Int64[Tensor, "states bits"] = torch.tensor([*product((0, 1), repeat=BITS)])
"""All values of x, each a row."""


def bernoulli(x: Tensor, p: Tensor) -> Float64[Tensor, "..."]:
    """B(x; p), over the last axis of bits.

    Args:
        x: bits.
        p: the probability that each of them is 1.
    """
    return torch.where(x == 1, p, 1 - p).prod(-1)


def entropy(p: Float64[Tensor, "... states"]) -> Float64[Tensor, "..."]:
    """In nats, over the last axis."""
    return -torch.xlogy(p, p).sum(-1)


def divergence(
    q: Float64[Tensor, "... states"], p: Float64[Tensor, "... states"]
) -> Float64[Tensor, "..."]:
    """KL(q || p) in nats, over the last axis."""
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)


@dataclass(frozen=True, eq=False)
class BinomialChain:
    """Forward and reverse chains; states are indices of `STATES`.

    Args:
        betas: beta_1, ..., beta_T.
        prior: the distribution of x_0 that the reverse kernels are made from.
    """

    betas: tuple[float, ...]
    prior: Float64[Tensor, " states"]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.betas)

    def kernel(self, t: int) -> Float64[Tensor, "states states"]:
        """q(x_t | x_{t-1}), t = 1..T, a row for each x_{t-1}."""
        beta = self.betas[t - 1]
        return bernoulli(STATES[None], STATES.double()[:, None] * (1 - beta) + 0.5 * beta)

    @cached_property
    def marginals(self) -> tuple[Float64[Tensor, "states states"], ...]:
        """q(x_t | x_0), t = 0..T, a row for each x_0, as products of the kernels."""
        found = [torch.eye(len(STATES), dtype=torch.float64)]
        for t in range(1, self.steps + 1):
            found.append(found[-1] @ self.kernel(t))
        return tuple(found)

    def posterior(self, t: int) -> Float64[Tensor, "states states states"]:
        """q(x_{t-1} | x_t, x_0) by Bayes' rule, of (x_0, x_t, x_{t-1})."""
        joint = self.marginals[t - 1][:, :, None] * self.kernel(t)
        return (joint / joint.sum(1, keepdim=True)).transpose(1, 2)

    def reverse(self, t: int) -> Float64[Tensor, "states states"]:
        """p(x_{t-1} | x_t) = B(x_{t-1}; f_b(x_t, t)), a row for each x_t; the edge for t = 1.

        f_b is the probability that a bit of x_{t-1} is 1 where x_0 has the prior.
        """
        if t == 1:  # q(x_1 | x_0) pi(x_0)/pi(x_1), and pi is the same for all
            return self.kernel(1).T

        joint = self.prior[:, None] * self.marginals[t]
        x0 = joint / joint.sum(0)
        one = torch.einsum("ab,abc,ci->bi", x0, self.posterior(t), STATES.double())
        return bernoulli(STATES[None], one[:, None])

    def bound(self) -> Float64[Tensor, " states"]:
        """K of eq. 14, in nats, for each x_0."""
        last = self.marginals[-1]
        total = entropy(last) - entropy(self.kernel(1)) - BITS * math.log(2)
        for t in range(2, self.steps + 1):
            each = divergence(self.posterior(t), self.reverse(t)[None])
            total = total - (self.marginals[t] * each).sum(1)
        return total

    def log_prob(self) -> Float64[Tensor, " states"]:
        """log p(x_0) in nats: the sum over all reverse trajectories."""
        p = torch.full((len(STATES),), 1 / len(STATES), dtype=torch.float64)
        for t in range(self.steps, 0, -1):
            p = p @ self.reverse(t)
        return p.log()

    def gap(self) -> Float64[Tensor, " states"]:
        """KL(q(x_1..x_T | x_0) || p(x_1..x_T | x_0)) in nats, over all trajectories."""
        q = self.kernel(1)
        p = self.reverse(1).T
        for t in range(2, self.steps + 1):
            q = q[..., None] * self.kernel(t)
            p = p[..., None] * self.reverse(t).T
        p = p.flatten(1) / len(STATES)
        return divergence(q.flatten(1), p / p.sum(1, keepdim=True))

    def mean_gap(self) -> Float64[Tensor, ""]:
        """KL(q(x_0, ..., x_T) || p(x_0, ..., x_T)) in nats, where x_0 has the prior."""
        before, total = self.prior, torch.zeros((), dtype=torch.float64)
        for t in range(1, self.steps + 1):
            joint = before[:, None] * self.kernel(t)
            after = joint.sum(0)
            total = total + (after * divergence((joint / after).T, self.reverse(t))).sum()
            before = after
        return total + BITS * math.log(2) - entropy(before)
