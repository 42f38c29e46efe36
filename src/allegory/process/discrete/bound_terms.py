r"""The terms of the bound of a discrete diffusion model, for one draw of noise.

In continuous time the divergences are an integral over t of `TokenPath.rate`. For masked tokens it
depends on the set that is masked alone, and on the time only through how many there are. The number
m of masked tokens, averaged over t, is uniform, so that the integral is a sum over m,

    sum_{m=1}^L 1/m E[sum_{i masked} -log p(x_i | the tokens that are not)],

over random sets of m tokens. A draw of m and of the set has bounded weights, where a draw of t has
the weight 1/t (Shi et al. 2024, MD4, eq. 4; Ou et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from .blocks import BlockMaskedPath, PredictsBlocks, block_loss
from .masked import MaskedPath
from .path import TokenLevel, TokenPath, TokenPrediction
from .predict import TokenPredict

_FIRST = 1e-9
"""The smallest time; at t = 0 nothing was replaced."""


@dataclass(frozen=True, eq=False)
class TokenDraw:
    """The random numbers of one draw of noise, uniform in [0, 1).

    Args:
        time: one per item: the time, or the fraction of the tokens that is masked.
        u: one per token.
    """

    time: Float64[Tensor, " b"]
    u: Float64[Tensor, "b *shape"]


def token_loss(
    predict: TokenPredict,
    x0: Int64[Tensor, "b *shape"],
    draw: TokenDraw,
    condition: Tensor | None = None,
    cross_entropy: float = 0.0,
) -> Float[Tensor, " b"]:
    """One unbiased draw of the divergences in continuous time, in nats per item.

    On a path that is not masked, a multiple of -log p(x0 | x_t) may be added: its minimum is the
    same, and it varies less from draw to draw (Austin et al. 2021, eq. 5).

    Args:
        predict: the predictor, with its path.
        x0: clean tokens.
        draw: the random numbers.
        condition: one row per item, or None.
        cross_entropy: the multiple that is added.
    """
    path, time, u = predict.path, draw.time, draw.u
    if isinstance(predict, PredictsBlocks) and isinstance(path, BlockMaskedPath):
        return block_loss(predict, x0, time, u, condition)
    if isinstance(path, MaskedPath):
        count = masked_count(time, x0)
        x_t = torch.where(mask_of(path, u, count), path.mask, x0)
        level = path.at((count - 0.5) / x0[0].numel(), x0)
        nats = path.masked_nats(predict(x_t, level, condition), x0)

        moves = torch.as_tensor(level.slope, device=x0.device) != 0
        moving = (moves & (x_t == path.mask)).flatten(1).sum(1)
        return torch.where(moves, nats, 0.0).flatten(1).sum(1) * x0[0].numel() / moving

    level = path.at(time.clamp(min=_FIRST), x0)
    x_t = path.marginal(x0, level).quantile(u)
    prediction = predict(x_t, level, condition)
    nats = path.rate(prediction, x0)
    return nats - cross_entropy * prediction.x0.log_prob(x0) if cross_entropy else nats


def token_step_loss(
    predict: TokenPredict,
    x0: Int64[Tensor, "b *shape"],
    levels: tuple[TokenLevel, TokenLevel],
    u: Float64[Tensor, "b *shape"],
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """One draw of KL(q(x_s | x_t, x0) || p(x_s | x_t)) in nats per item.

    For s = 0 it is -log p(x0 | x_t).

    Args:
        predict: the predictor, with its path.
        x0: clean tokens.
        levels: s and t, s < t.
        u: uniform numbers in [0, 1), one per token, that draw x_t.
        condition: one row per item, or None.
    """
    s, t = levels
    path = predict.path
    x_t = path.marginal(x0, t).quantile(u)
    prediction = predict(x_t, t, condition)

    q = path.posterior(TokenPrediction.of(x0, x_t, t), s)
    return q.kl(path.posterior(prediction, s))


def token_prior_cost(path: TokenPath, x0: Int64[Tensor, "b *shape"]) -> Float64[Tensor, " b"]:
    """KL(q(x_1 | x0) || pi) in nats per item; 0 where alpha is 0 at t = 1."""
    return path.marginal(x0, path.at(1.0)).kl(path.prior(x0))


def masked_count(
    time: Float64[Tensor, " b"], x0: Int64[Tensor, "b *shape"]
) -> Float64[Tensor, " b"]:
    """A number of masked tokens from 1 to L, for uniform numbers in [0, 1).

    Args:
        time: the numbers.
        x0: tokens, L per item.
    """
    return (time * x0[0].numel()).floor() + 1


def mask_of(
    path: MaskedPath, u: Float64[Tensor, "b *shape"], count: Float64[Tensor, " b"]
) -> Bool[Tensor, "b *shape"]:
    """The `count` tokens of each item that are masked first, in a random order of the path.

    Args:
        path: the forward process.
        u: uniform numbers, one per token.
        count: how many, one number per item.
    """
    last_revealed = -path.in_order(-u)
    ranks = last_revealed.flatten(1).argsort(1).argsort(1)
    return (ranks < count[:, None]).view_as(u)
