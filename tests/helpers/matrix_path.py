"""A forward process of tokens by any matrix of rates, as an independent reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from allegory.process.discrete import Categorical, TokenLevel, TokenPath, TokenPrediction


class MatrixPath(TokenPath):
    """q(x_t | x_0) = expm(R tau), tau = -log alpha_t, for rates R[x, y] from x to y.

    All states are values, unless `values` says that the last ones are not.
    """

    def __init__(self, rates: Tensor, values: int | None = None, end: float = 1e-3) -> None:
        super().__init__(values or len(rates), end)
        self.rates = rates.double()

    @property
    def states(self) -> int:
        return len(self.rates)

    @property
    def pi(self) -> Tensor:
        return torch.linalg.matrix_exp(self.rates * 1e3)[0]

    def matrix(self, s: TokenLevel, t: TokenLevel) -> Tensor:
        """q(x_t = y | x_s = x), row x."""
        tau = math.log(s.alpha) - math.log(t.alpha)
        return torch.linalg.matrix_exp(self.rates * tau)

    def marginal(self, x0: Tensor, level: TokenLevel) -> Categorical:
        return Categorical(self.matrix(self.at(0.0), level)[x0].log())

    def transition(self, x_s: Tensor, s: TokenLevel, t: TokenLevel) -> Categorical:
        return Categorical(self.matrix(s, t)[x_s].log())

    def likelihood(self, x_t: Tensor, level: TokenLevel) -> Tensor:
        return self.matrix(self.at(0.0), level).T[x_t][..., : self.values]

    def posterior(self, prediction: TokenPrediction, s: TokenLevel) -> Categorical:
        """The sum over x0 of p(x0 | x_t) q(x_s | x_t, x0), by Bayes' rule for each."""
        x_t, t = prediction.x_t, prediction.level
        to_s = self.matrix(self.at(0.0), s)[: self.values]
        joint = to_s * self.matrix(s, t).T[x_t][..., None, :]
        each = joint / joint.sum(-1, keepdim=True).clamp(min=1e-300)
        return Categorical((prediction.x0.probs[..., None] * each).sum(-2).log())

    def rate(self, prediction: TokenPrediction, x0: Tensor) -> Tensor:
        """sum_{y != x_t} of the rate from y to x_t times r^ - r + r log r/r^."""
        x_t, level = prediction.x_t, prediction.level
        to_t = self.matrix(self.at(0.0), level)[: self.values]
        ratios = to_t[:, None, :] / to_t.T[None, :, :].transpose(0, 2)  # [x0, x_t, y]
        r = ratios[x0, x_t]
        own = ratios.transpose(0, 1)[x_t]
        p = prediction.x0.probs
        predicted = torch.where(p[..., None] > 0, p[..., None] * own, 0.0).sum(-2)

        others = torch.nn.functional.one_hot(x_t, self.states) == 0
        into = self.rates.T[x_t]
        terms = predicted - r + torch.special.xlogy(r, r) - torch.special.xlogy(r, predicted)
        total = torch.where(others & (into > 0), into * terms, 0.0).sum(-1)
        speed = -level.slope / level.alpha
        return (speed * total).flatten(1).sum(1)


def uniform_rates(values: int) -> Tensor:
    """Rates of which `UniformPath` is the process: 1/K to each value."""
    return torch.full((values, values), 1 / values) - torch.eye(values)


def masked_rates(values: int) -> Tensor:
    """Rates of which `MaskedPath` is the process: 1 to the mask, the last state."""
    rates = torch.zeros(values + 1, values + 1)
    rates[:-1, -1] = 1.0
    rates[:-1, :-1] = -torch.eye(values)
    return rates
