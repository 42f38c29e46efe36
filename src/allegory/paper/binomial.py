r"""The binomial diffusion of Sohl-Dickstein et al. 2015 (arXiv 1503.03585), by enumeration.

A bit stays with the probability 1 - beta_t, and drawn anew from B(0.5) otherwise,

    q(x_t | x_{t-1}) = B(x_t; x_{t-1} (1 - beta_t) + 0.5 beta_t)

which is `UniformPath` of two values. The bound of that paper,

    K = - sum_{t=2}^T E[KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))]
        + H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T)                                  (eq. 14)

is eq. 58 of Luo 2022 where p(x_0 | x_1) = q(x_1 | x_0) pi(x_0)/pi(x_1). One side of each check is
the library's, the other is of `BinomialChain`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor

from ..process.bound import Bound
from ..process.discrete import (
    TokenLevel,
    TokenPrediction,
    TokenTable,
    UniformPath,
    token_prior_cost,
    token_step_loss,
)
from .binomial_chain import BITS, STATES, BinomialChain
from .check import Kind, Sides, bound, same, section

SECTION = section("binomial", "Binomial diffusion, Sohl-Dickstein et al. 2015")

_BETAS = (0.2, 0.35, 0.15, 0.4)
"""Of a chain that does not end in noise alone, so that all entropies count."""
_STEPS = (2, 4, 8, 16, 32)
_LOGITS = torch.tensor([0.9, -0.7, 0.1, 0.4, -1.1, 0.3, 0.8, -0.2], dtype=torch.float64)
"""Of a joint distribution of three bits."""


def _chain(betas: tuple[float, ...] = _BETAS) -> BinomialChain:
    return BinomialChain(betas, _LOGITS.softmax(0))


def _steady(steps: int) -> tuple[float, ...]:
    """beta_t = 1/(T - t + 1), t = 1..T."""
    return tuple(1 / (steps - t + 1) for t in range(1, steps + 1))


def _path(betas: tuple[float, ...] = _BETAS) -> tuple[UniformPath, tuple[TokenLevel, ...]]:
    """The library's path, and its levels of x_0, ..., x_T."""
    alphas = [math.prod(1 - beta for beta in betas[:t]) for t in range(len(betas) + 1)]
    path = UniformPath(2, end=alphas[-1])
    return path, path.levels([(1 - alpha) / (1 - alphas[-1]) for alpha in alphas])


class _Predict:
    """The prediction of a joint table, and at x_1 that of a uniform prior (the edge).

    Args:
        path: of the tokens.
        first: the level of x_1.
    """

    def __init__(self, path: UniformPath, first: TokenLevel) -> None:
        self.path, self.first = path, first
        table = _LOGITS.view([2] * BITS)
        self.table, self.uniform = TokenTable(table, path), TokenTable(0 * table, path)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | TokenLevel, condition: Tensor | None = None, /
    ) -> TokenPrediction:
        """The prediction of x_0."""
        return (self.uniform if t is self.first else self.table)(x_t, t)


def _library(betas: tuple[float, ...] = _BETAS) -> Float64[Tensor, " states"]:
    """The total of the library's bound for each x_0, over all x_t (Luo 2022, eq. 58)."""
    path, levels = _path(betas)
    predict = _Predict(path, levels[1])
    x0 = STATES.repeat_interleave(len(STATES), 0)
    x_t = STATES.repeat(len(STATES), 1)

    costs = []
    for s, t in pairwise(levels):
        u = x_t.double() * (
            1 - 2.0**-53
        )  # 0 draws a bit that is 0, and a number just below 1 one that is 1
        q = path.marginal(x0, t).log_prob(x_t).exp()
        each = q * token_step_loss(predict, x0, (s, t), u)
        costs.append(each.view(len(STATES), -1).sum(1))
    return Bound(-costs[0], token_prior_cost(path, STATES), tuple(costs[1:])).total


@SECTION.further(
    "2015 table App.1", "q(x_t | x_{t−1}) = B(x_t; x_{t−1} (1 − β_t) + 0.5 β_t)", Kind.EXACT
)
def _kernel() -> Sides:
    path, levels = _path()
    pairs = [path.transition(STATES[:, None, :], s, t).probs for s, t in pairwise(levels)]
    own = torch.stack(pairs)[:, :, 0, :, 1]
    x = STATES.double()
    return same(own, torch.stack([x * (1 - beta) + 0.5 * beta for beta in _BETAS]))


@SECTION.further(
    "2015 eq. 3", "q(x_t | x_0) = ∑ q(x_t | x_{t−1}) ⋯ q(x_1 | x_0), over x_1:t−1", Kind.EXACT
)
def _marginal() -> Sides:
    path, levels = _path()
    x0 = STATES.repeat_interleave(len(STATES), 0)
    x_t = STATES.repeat(len(STATES), 1)
    own = [path.marginal(x0, t).log_prob(x_t).exp() for t in levels[1:]]
    return same(torch.stack(own), torch.stack(_chain().marginals[1:]).flatten(1))


@SECTION.further(
    "2015 sec. 2.4.1",
    "β_t = 1/(T − t + 1) erases 1/T of the signal: ∏ (1 − β) = 1 − t/T",
    Kind.EXACT,
)
def _erased() -> Sides:
    steps = 10
    path = UniformPath(2)
    own = [float(path.at(t / steps).alpha) for t in range(1, steps)]
    expected = [math.prod(1 - beta for beta in _steady(steps)[:t]) for t in range(1, steps)]
    return same(torch.tensor(own, dtype=torch.float64), torch.tensor(expected, dtype=torch.float64))


@SECTION.further(
    "2015 app. B.3",
    "q(x_{t−1} | x_t, x_0) = q(x_t | x_{t−1}) q(x_{t−1} | x_0) / q(x_t | x_0)",
    Kind.EXACT,
)
def _posterior() -> Sides:
    path, levels = _path()
    x0, x_t = (
        each.flatten() for each in torch.meshgrid(*[torch.arange(len(STATES))] * 2, indexing="ij")
    )
    found, expected = [], []
    for t in range(2, len(levels)):
        prediction = TokenPrediction.of(STATES[x0], STATES[x_t], levels[t])
        log_probs = path.posterior(prediction, levels[t - 1])
        rows = [log_probs.log_prob(x.expand(len(x0), -1)).exp() for x in STATES]
        found.append(torch.stack(rows, 1))
        expected.append(_chain().posterior(t).flatten(0, 1))
    return same(torch.stack(found), torch.stack(expected))


@SECTION.further(
    "2015 app. B.2",
    "p(x_0 | x_1) = q(x_1 | x_0) π(x_0) / π(x_1), the edge of the reverse chain",
    Kind.EXACT,
    note="It is the prediction of x_0 from x_1 for a prior that is uniform.",
)
def _edge() -> Sides:
    path, levels = _path()
    prediction = _Predict(path, levels[1])(STATES, levels[1])
    rows = [prediction.x0.log_prob(x.expand(len(STATES), -1)).exp() for x in STATES]
    return same(torch.stack(rows, 1), _chain().reverse(1))


@SECTION.further(
    "2015 table App.1",
    "p(x_{t−1} | x_t) = B(x_{t−1}; f_b(x_t, t)), f_b = E[q(x_{t−1} = 1 | x_t, x_0)]",
    Kind.EXACT,
)
def _reverse() -> Sides:
    path, levels = _path()
    predict = _Predict(path, levels[1])
    found = []
    for s, t in pairwise(levels[1:]):
        step = path.posterior(predict(STATES, t), s)
        rows = [step.log_prob(x.expand(len(STATES), -1)).exp() for x in STATES]
        found.append(torch.stack(rows, 1))
    return same(
        torch.stack(found), torch.stack([_chain().reverse(t) for t in range(2, len(levels))])
    )


@SECTION.further(
    "2015 eq. 14",
    "K = −∑_{t≥2} E KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) "
    "+ H_q(X_T | X_0) − H_q(X_1 | X_0) − H_p(X_T)",
    Kind.EXACT,
    note="It is eq. 58 of Luo 2022 with the edge of app. B.2.",
)
def _eq14() -> Sides:
    return same(_library(), _chain().bound())


@SECTION.further(
    "2015 eq. 13", "log p(x_0) ≥ K; the gap is KL(q(x_1:T | x_0) ‖ p(x_1:T | x_0))", Kind.BOUND
)
def _eq13() -> Sides:
    chain = _chain()
    return bound(chain.log_prob(), _library(), chain.gap())


@SECTION.further(
    "2015 eq. 13",
    "E log q(x_0) ≥ E K for T = 2, 4, ..., 32; the gap is KL(q(x_0:T) ‖ p(x_0:T))",
    Kind.BOUND,
)
def _eq13_data() -> Sides:
    chains = [_chain(_steady(steps)) for steps in _STEPS]
    data = chains[0].prior
    means = torch.stack([data @ _library(chain.betas) for chain in chains])
    gaps = torch.stack([chain.mean_gap() for chain in chains])
    return bound((data @ data.log()).expand(len(_STEPS)), means, gaps)


@SECTION.further(
    "2015 eq. 13",
    "the gap with twice as many steps is smaller, by as much as K is larger",
    Kind.BOUND,
)
def _eq13_steps() -> Sides:
    chains = [_chain(_steady(steps)) for steps in _STEPS]
    gaps = torch.stack([chain.mean_gap() for chain in chains])
    means = torch.stack([chain.prior @ _library(chain.betas) for chain in chains])
    return bound(gaps[:-1], gaps[1:], means.diff())
