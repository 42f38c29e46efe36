r"""The variational bound of rows of numbers and tokens: a sum of that of both.

    log p(x) >= E[log p(x | z_0)] - KL(q(z_1 | x) || p(z_1))
                - E_t[ -1/2 log_snr'(t) |eps - eps_hat|^2 + rate of the tokens ]

with one time for both. Entries that are known have no term: it is a bound of p(rest | known).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..lookup import check_count
from ..process.bound import Bound
from ..process.coefficients import log
from ..process.kernel import Gaussian, marginal
from ..process.noise import Noise, Stream, item_seeds
from ..process.rows import KnownEntries, RowLevel, RowPath, RowPrediction, RowState
from .bound import MAX_DRAWS

_FIRST = 1e-9
"""The smallest time of the tokens."""


@runtime_checkable
class PredictsRows(Protocol):
    """A predictor of clean rows."""

    @property
    def path(self) -> RowPath:
        """The forward process."""
        ...

    def __call__(self, x_t: RowState, level: RowLevel, known: KnownEntries, /) -> RowPrediction:
        """Predict the clean rows from `x_t` at a `level`, given which entries are `known`."""
        ...


@dataclass(frozen=True, eq=False)
class RowTruth:
    """Clean rows and the random numbers of one draw of noise.

    Args:
        x0: the rows.
        eps: normal, one for each number.
        u: uniform, one for each token.
        known: entries without noise.
    """

    x0: RowState
    eps: Float[Tensor, "b d"]
    u: Float[Tensor, "b k"]
    known: KnownEntries


def row_loss(
    predict: PredictsRows, truth: RowTruth, time: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """One draw of the divergences in continuous time, in nats per row.

    Args:
        predict: the predictor.
        truth: rows and noise.
        time: one per row.
    """
    path, x0, known = predict.path, truth.x0, truth.known
    level = path.at(time.clamp(min=_FIRST), x0)
    masked = torch.where(truth.u < level.tokens.noise, path.tokens.mask, x0.tokens)
    x_t = path.mix(x0, RowState(truth.eps, masked), level, known)
    found = predict(x_t, level, known)

    error = torch.where(known.numbers, 0.0, found.numbers.eps - truth.eps).square().sum(1)
    numbers = -0.5 * torch.as_tensor(level.numbers.dlog_snr).reshape(-1) * error
    speed = torch.as_tensor(level.token_speed)
    return numbers + speed * path.tokens.rate(found.tokens, x0.tokens)


def antithetic_loss(
    predict: PredictsRows, truth: RowTruth, time: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """The mean of `row_loss` with this noise and with its opposite, at the same times.

    The gradient of the squared error has a term eps df(x_t), which is almost odd in eps where the
    noise is small: it cancels in the mean, and with it most of the variance of the gradient.

    Args:
        predict: the predictor.
        truth: rows and noise.
        time: one per row.
    """
    rows, known = truth.x0, truth.known
    twice = RowTruth(
        RowState(rows.numbers.repeat(2, 1), rows.tokens.repeat(2, 1)),
        torch.cat([truth.eps, -truth.eps]),
        torch.cat([truth.u, 1 - truth.u]),
        KnownEntries(_twice(known.numbers), _twice(known.tokens)),
    )

    return row_loss(predict, twice, time.repeat(2)).view(2, -1).mean(0)


def _twice(known: Tensor) -> Tensor:
    """The rows of the second half are those of the first; one row is for all."""
    return known if len(known) == 1 else known.repeat(2, 1)


@torch.no_grad()
def row_bound(
    predict: PredictsRows,
    x0: RowState,
    known: KnownEntries,
    *,
    seeds: Sequence[int] | None = None,
    draws: int = 8,
) -> Bound:
    """The evidence lower bound of each row given its known entries, in nats of model space.

    Args:
        predict: the predictor.
        x0: clean rows.
        known: entries that are known.
        seeds: one integer per row, for its times and noise; 0, 1, 2, ... for None.
        draws: evaluations of the predictor per row.

    Raises:
        ValueError: for draws below 1, and a wrong number of seeds.
    """
    check_count("draws", draws, 1, MAX_DRAWS)
    path = predict.path
    d, k = x0.numbers.shape[1], x0.tokens.shape[1]
    noise = Noise(item_seeds(seeds, len(x0)), (d,), Stream.BOUND)
    masks = Noise(item_seeds(seeds, len(x0)), (k,), Stream.STEPS)

    offset = noise.uniform()
    losses = []
    for draw in range(draws):
        time = ((offset + draw / draws) % 1).to(x0.numbers.device)
        truth = RowTruth(x0, noise.draw(x0.numbers), masks.uniforms().to(x0.numbers), known)
        losses.append(row_loss(predict, truth, time))

    return Bound(
        _reconstruction(path, x0, known), _prior(path, x0, known), (torch.stack(losses).mean(0),)
    )


def _reconstruction(path: RowPath, x0: RowState, known: KnownEntries) -> Float64[Tensor, " b"]:
    """The expectation of log N(x0; z_0/alpha_0, (sigma_0/alpha_0)^2 I) over the unknown numbers."""
    level = path.numbers.at(0.0)
    width = float(log(level.sigma / level.alpha))
    unknown = (~known.numbers).expand(len(x0), -1).sum(1)
    return -0.5 * unknown.double() * (1 + math.log(2 * math.pi) + 2 * width)


def _prior(path: RowPath, x0: RowState, known: KnownEntries) -> Float64[Tensor, " b"]:
    """KL(q(z_1 | x) || p(z_1)) over the unknown numbers; all tokens are masked in both."""
    end = path.numbers.at(1.0, like=x0.numbers)
    clean = torch.where(known.numbers, 0.0, x0.numbers)
    all_numbers = marginal(clean, end).kl(Gaussian(torch.zeros_like(clean), end.marginal_std))
    nothing = torch.zeros_like(clean[:, :1])
    each = marginal(nothing, end).kl(Gaussian(nothing, end.marginal_std))
    return all_numbers - each * known.numbers.expand(len(x0), -1).sum(1)
