r"""The variational bound of a discrete diffusion model, for any TokenPredict.

With T steps at times t_1 < ... < t_T = 1,

    log p(x) >= E[log p(x | x_1)] - KL(q(x_T | x) || pi) - sum_{i=2}^T E[KL_i]
    KL_i      = KL(q(x_{i-1} | x_i, x) || p(x_{i-1} | x_i))

(Sohl-Dickstein et al. 2015, eq. 13; Luo 2022, eq. 58), and as T grows the sum becomes the integral
of `TokenPath.rate` over t. For masked tokens the bound in continuous time is also the mean over all
orders of revealing one token after another of the log-probability in that order
(`order_log_prob`), as in an autoregressive model of any order (Hoogeboom et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ..lookup import check_count
from ..process.bound import Bound
from ..process.discrete import (
    MaskedPath,
    TokenDraw,
    TokenLevel,
    TokenPredict,
    masked_path,
    token_loss,
    token_step_loss,
)
from ..process.discrete.bound_terms import token_prior_cost
from ..process.noise import Noise, Stream, item_seeds
from .bound import MAX_DRAWS

_POWER = 3
"""Of a uniform number that is a time: the least for which the third moment is finite."""


@torch.no_grad()
def token_bound(
    predict: TokenPredict,
    x0: Int64[Tensor, "b *shape"],
    *,
    seeds: Sequence[int] | None = None,
    draws: int = 8,
    condition: Tensor | None = None,
) -> Bound:
    """The evidence lower bound of each item in continuous time, in nats.

    On a path that is not masked, the rate has terms of size 1/t with the probability t, so that it
    has no finite variance at times that are uniform. They are u^3 for uniform u, with the weight
    3 u^2.

    Args:
        predict: the predictor, with its path.
        x0: clean tokens.
        seeds: one integer per item, from which its times and noise are drawn; 0, 1, 2, ... for
            None.
        draws: evaluations of the predictor per item, at u that are evenly spaced from one random
            offset per item.
        condition: one row per item, or None.

    Raises:
        ValueError: for draws below 1, and a wrong number of seeds.
    """
    check_count("draws", draws, 1, MAX_DRAWS)
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND)
    prior = token_prior_cost(predict.path, x0)

    offset = noise.uniform()
    fractions = (offset + torch.arange(draws, dtype=torch.float64)[:, None] / draws) % 1
    power = 1 if isinstance(predict.path, MaskedPath) else _POWER
    losses = []
    for u in fractions.to(x0.device):
        draw = TokenDraw(u**power, _uniform(noise, x0))
        losses.append(power * u ** (power - 1) * token_loss(predict, x0, draw, condition))

    return Bound(torch.zeros_like(prior), prior, (torch.stack(losses).mean(0).double(),))


@torch.no_grad()
def token_step_bound(
    predict: TokenPredict,
    x0: Int64[Tensor, "b *shape"],
    levels: Sequence[TokenLevel],
    *,
    seeds: Sequence[int] | None = None,
    condition: Tensor | None = None,
) -> Bound:
    """The evidence lower bound of each item, in nats, of the model whose latents have these Levels.

    It takes one evaluation for each of them.

    Args:
        predict: the predictor, with its path.
        x0: clean tokens.
        levels: those of x_1, ..., x_T, the cleanest first.
        seeds: one integer per item; 0, 1, 2, ... for None.
        condition: one row per item, or None.

    Raises:
        ValueError: for no level, and a wrong number of seeds.
    """
    check_count("levels", len(levels), 1, MAX_DRAWS)
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND)
    prior = token_prior_cost(predict.path, x0)

    costs = [
        token_step_loss(predict, x0, pair, _uniform(noise, x0), condition)
        for pair in pairwise((predict.path.at(0.0), *levels))
    ]
    return Bound(-costs[0], prior, tuple(costs[1:]))


def token_levels(predict: TokenPredict, steps: int) -> tuple[TokenLevel, ...]:
    """The Levels at i/T, i = 1..T, of T steps.

    Args:
        predict: whose path it is.
        steps: T.

    Raises:
        ValueError: for steps below 1, and for no multiple of the blocks of tokens.
    """
    check_count("steps", steps, 1, MAX_DRAWS)
    predict.path.steps_of_a_block(steps)
    return predict.path.levels([i / steps for i in range(1, steps + 1)])


@torch.no_grad()
def order_log_prob(
    predict: TokenPredict,
    x0: Int64[Tensor, "b *shape"],
    order: Int64[Tensor, "b length"],
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """log p(x) in nats of a masked model that reveals one token after another.

    Its mean over all orders is the bound in continuous time. For an exact prediction it is log p(x)
    in every order.

    Args:
        predict: a predictor of masked tokens; it is evaluated once per token.
        x0: clean tokens.
        order: of each item, a permutation of its tokens, the first to be revealed first.
        condition: one row per item, or None.

    Raises:
        ValueError: for tokens that are not masked.
    """
    path = masked_path(predict, "order")
    length = order.shape[1]
    flat = x0.flatten(1)
    x = torch.full_like(flat, path.mask)
    total: Tensor = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)

    for k in range(length):
        level = path.at(1 - k / length)
        log_probs = predict(x.view_as(x0), level, condition).log_probs
        each = log_probs.flatten(1, -2)
        rows = torch.arange(len(flat), device=x0.device)
        at = order[:, k]
        token = flat[rows, at]
        total = total + each[rows, at, token].double()
        x[rows, at] = token

    return total


def _uniform(noise: Noise, like: Tensor) -> Float64[Tensor, "b *shape"]:
    """The next uniform number of every token."""
    return noise.uniforms().to(like.device)
