r"""Equations 30-45: the diffusion chain and its consistency bound.

Lines 38-43 regroup the same log-ratio r, so each is compared per sample with r computed from two
joint Gaussians. Line 45 does not follow from 44: it has q(x_t | x_{t-1}) in the place of
q(x_t | x_{t-1}, x_{t+1}), although x_{t+1} depends on x_t.
With p(x_t | x_{t+1}) = N(a_{t+1} x_{t+1} + b_{t+1}, s_{t+1}^2 I) in d dimensions,

    (44) - (45) = d sum_{t=1}^{T-1} a_{t+1} sqrt(alpha_{t+1}) (1 - alpha_t) / s_{t+1}^2 .
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .cases import Chain, chain
from .check import Kind, Sides, bound, same, sampled, section
from .rules import cubature, draws, line, normal

SECTION = section("chain", "Variational diffusion: the chain", 30, 45)

Paths = list[Float[Tensor, "n d"]]
"""x_0, ..., x_T."""


def log_forward(case: Chain, x: Paths, t: int) -> Float[Tensor, " n"]:
    """log q(x_t | x_{t-1}) of the states x of this case."""
    return case.forward(t, x[t - 1]).log_prob(x[t])


def log_reverse(case: Chain, x: Paths, t: int) -> Float[Tensor, " n"]:
    """log p(x_{t-1} | x_t) of the states x of this case."""
    return case.model(t, x[t]).log_prob(x[t - 1])


def log_prior(case: Chain, x: Paths) -> Float[Tensor, " n"]:
    """log p(x_T) of the states x of this case."""
    return case.prior(len(x[-1])).log_prob(x[-1])


def log_r(case: Chain, x: Paths) -> Float[Tensor, " n"]:
    """log p(x_{0:T}) - log q(x_{1:T} | x_0) of the states x of this case, from joint Gaussians."""
    return case.dense().log_ratio(torch.stack(x[1:], 1))


def total(terms: list[Tensor], like: Tensor) -> Tensor:
    """Sum of the terms; zeros for the items of `like` where there are none (an empty product)."""
    return torch.stack(terms).sum(0) if terms else torch.zeros(len(like), dtype=like.dtype)


def trajectories(case: Chain, seed: int = 60) -> Paths:
    """Thirty trajectories of this case drawn with this seed."""
    return case.trajectory(draws(seed, 30, case.steps, case.x0.shape[1]))


def rule(case: Chain) -> Paths:
    """The trajectories of this case whose mean is E_q of a quadratic."""
    return case.trajectory(cubature(case.steps, case.x0.shape[1]))


@SECTION.equation(30, "q(x_1:T | x_0) = ∏_t q(x_t | x_{t−1})", Kind.SAMPLE)
def _eq30() -> Sides:
    case = chain()
    x = trajectories(case)
    joint = case.q(*range(1, case.steps + 1)).log_prob(torch.stack(x[1:], 1))

    return same(total([log_forward(case, x, t) for t in range(1, case.steps + 1)], x[0]), joint)


@SECTION.equation(31, "q(x_t | x_{t−1}) = N(√α_t x_{t−1}, (1 − α_t) I)", Kind.DEFINITION)
def _eq31() -> Sides:
    case, x = chain(), draws(61, 1, 2)
    moments, expected = [], []
    for t in range(1, case.steps + 1):
        drawn = case.forward(t, x.expand(4, -1)).draw(cubature(2))
        moments += [drawn.mean(0), drawn.var(0, correction=0)]
        expected += [
            math.sqrt(case.alpha[t]) * x[0],
            torch.full((2,), 1 - case.alpha[t], dtype=torch.float64),
        ]

    return same(torch.stack(moments), torch.stack(expected))


@SECTION.equation(31, "unit variance in, unit variance out", Kind.LAW)
def _eq31_variance() -> Sides:
    case, noise = chain(), cubature(2, 1)
    out = [
        case.forward(t, noise[:, 0]).draw(noise[:, 1]).var(correction=0)
        for t in range(1, case.steps + 1)
    ]

    return same(torch.stack(out), 1.0)


@SECTION.equation(32, "p(x_0:T) = p(x_T) ∏_t p(x_{t−1} | x_t)", Kind.SAMPLE)
def _eq32() -> Sides:
    case = chain()
    x = trajectories(case)
    factors = total([log_reverse(case, x, t) for t in range(1, case.steps + 1)], x[0])

    return same(log_prior(case, x) + factors, case.dense().p().log_prob(torch.stack(x, 1)))


@SECTION.equation(33, "p(x_T) = N(0, I)", Kind.DEFINITION)
def _eq33() -> Sides:
    x = draws(62, 10, 2)
    return same(chain().prior(10).log_prob(x), normal(x, 0.0, 1.0).sum(1))


def _plane() -> tuple[Chain, Paths, float]:
    """A chain of two steps in one dimension, all (x_1, x_2) of a square, and the area of a cell."""
    case, (points, width) = chain(steps=2, dims=1), line(7.0, 351)
    x1, x2 = torch.cartesian_prod(points[:, 0], points[:, 0]).unbind(1)
    return case, [case.x0.expand(len(x1), -1), x1[:, None], x2[:, None]], width**2


@SECTION.equation(34, "log p(x) = log ∫ p(x_0:T) dx_1:T", Kind.EXACT)
def _eq34() -> Sides:
    case, x, area = _plane()
    log_p = log_prior(case, x) + log_reverse(case, x, 1) + log_reverse(case, x, 2)
    return same((log_p.exp() * area).sum().log(), case.dense().log_evidence())


@SECTION.equation(35, "= log ∫ p(x_0:T) q(x_1:T | x_0) / q(x_1:T | x_0) dx_1:T", Kind.EXACT)
def _eq35() -> Sides:
    case, x, area = _plane()
    log_q = log_forward(case, x, 1) + log_forward(case, x, 2)
    log_p = log_prior(case, x) + log_reverse(case, x, 1) + log_reverse(case, x, 2)
    log_p = log_p + case.q(1, 2).log_prob(torch.stack(x[1:], 1)) - log_q

    return same((log_p.exp() * area).sum().log(), case.dense().log_evidence())


@SECTION.equation(
    36, "= log E_q[p(x_0:T) / q(x_1:T | x_0)]", Kind.MEAN, note="Compared before the logarithm."
)
def _eq36() -> Sides:
    case = chain(steps=2, dims=1)
    x = case.trajectory(draws(63, 40_000, 2, 1))
    log_q = log_forward(case, x, 1) + log_forward(case, x, 2)
    log_p = log_prior(case, x) + log_reverse(case, x, 1) + log_reverse(case, x, 2)

    return sampled((log_p - log_q).exp(), case.dense().log_evidence().exp())


@SECTION.equation(
    37, "≥ E_q[log (p(x_0:T) / q(x_1:T | x_0))]; the gap is KL(q ‖ p(x_1:T | x_0))", Kind.BOUND
)
def _eq37() -> Sides:
    case = chain()
    x = rule(case)
    terms = [log_reverse(case, x, t) - log_forward(case, x, t) for t in range(1, case.steps + 1)]

    return bound(
        case.dense().log_evidence(),
        (log_prior(case, x) + total(terms, x[0])).mean(),
        case.dense().gap(),
    )


@SECTION.equation(
    38, "= E_q[log (p(x_T) ∏_t p(x_{t−1} | x_t) / ∏_t q(x_t | x_{t−1}))]", Kind.SAMPLE
)
def _eq38() -> Sides:
    case = chain()
    x = trajectories(case)
    above = log_prior(case, x) + total(
        [log_reverse(case, x, t) for t in range(1, case.steps + 1)], x[0]
    )
    below = total([log_forward(case, x, t) for t in range(1, case.steps + 1)], x[0])

    return same(above - below, log_r(case, x))


@SECTION.equation(
    39,
    "= E_q[log (p(x_T) p(x_0 | x_1) ∏_{t≥2} p(x_{t−1} | x_t) / "
    "(q(x_T | x_{T−1}) ∏_{t<T} q(x_t | x_{t−1})))]",
    Kind.SAMPLE,
)
def _eq39() -> Sides:
    case = chain()
    x, last = trajectories(case), case.steps
    above = log_prior(case, x) + log_reverse(case, x, 1)
    above = above + total([log_reverse(case, x, t) for t in range(2, last + 1)], x[0])
    below = log_forward(case, x, last) + total(
        [log_forward(case, x, t) for t in range(1, last)], x[0]
    )

    return same(above - below, log_r(case, x))


def _shifted(case: Chain, x: Paths) -> tuple[Tensor, Tensor, list[Tensor]]:
    """log p(x_0 | x_1), log p(x_T)/q(x_T | x_{T-1}), log p(x_t | x_{t+1})/q(x_t | x_{t-1})."""
    last = case.steps
    middle = [
        case.model(t + 1, x[t + 1]).log_prob(x[t]) - log_forward(case, x, t) for t in range(1, last)
    ]

    return log_reverse(case, x, 1), log_prior(case, x) - log_forward(case, x, last), middle


@SECTION.equation(
    40,
    "∏_{t=2}^T p(x_{t−1} | x_t) = ∏_{t=1}^{T−1} p(x_t | x_{t+1}), for T = 4 and T = 1",
    Kind.SAMPLE,
)
def _eq40() -> Sides:
    sides = []
    for case in (chain(), chain(steps=1)):
        x = trajectories(case)
        first, end, middle = _shifted(case, x)
        sides.append((first + end + total(middle, x[0]), log_r(case, x)))

    return same(torch.cat([left for left, _ in sides]), torch.cat([right for _, right in sides]))


@SECTION.equation(
    41,
    "= E_q[log (p(x_T) p(x_0 | x_1) / q(x_T | x_{T−1}))] "
    "+ E_q[log ∏_t (p(x_t | x_{t+1}) / q(x_t | x_{t−1}))]",
    Kind.MEAN,
)
def _eq41() -> Sides:
    case = chain()
    x = rule(case)
    first, end, middle = _shifted(case, x)

    return same((first + end).mean() + total(middle, x[0]).mean(), case.dense().elbo())


@SECTION.equation(
    42,
    "= E_q[log p(x_0 | x_1)] + E_q[log (p(x_T) / q(x_T | x_{T−1}))] "
    "+ E_q[Σ_t log (p(x_t | x_{t+1}) / q(x_t | x_{t−1}))]",
    Kind.MEAN,
)
def _eq42() -> Sides:
    case = chain()
    x = rule(case)
    first, end, middle = _shifted(case, x)

    return same(first.mean() + end.mean() + total(middle, x[0]).mean(), case.dense().elbo())


@SECTION.equation(43, "the same with Σ_t outside the expectation", Kind.MEAN)
def _eq43() -> Sides:
    case = chain()
    first, end, middle = _shifted(case, rule(case))

    return same(
        first.mean() + end.mean() + sum(term.mean() for term in middle), case.dense().elbo()
    )
