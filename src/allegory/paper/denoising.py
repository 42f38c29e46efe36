r"""Equations 46-58: the same bound by denoising matching.

Lines 48-56 regroup one log-ratio r, so each is compared per sample with r computed from two joint
Gaussians. Line 57 is compared term by term in mean. Line 58, whose divergences are in closed form,
is compared with the bound by moments.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..likelihood import Continuous, prior_matching, reconstruction
from ..models import DiffusionChain, generate_top_down
from ..process.bound import Bound
from ..process.bound_terms import diffusion_loss
from ..process.prediction import Prediction
from .cases import Chain, chain
from .chain import Paths, log_forward, log_prior, log_r, log_reverse, rule, total, trajectories
from .check import Kind, Sides, bound, same, sampled, section
from .denoised import denoised, denoiser, matching_terms
from .rules import cubature, draws, in_turn, normal

SECTION = section("denoising", "Variational diffusion: denoising matching", 46, 58)


def _log_marginal(case: Chain, x: Paths, t: int) -> Float[Tensor, " n"]:
    """log q(x_t | x_0)."""
    return case.marginal(t, len(x[0])).log_prob(x[t])


def _log_posterior(case: Chain, x: Paths, t: int) -> Float[Tensor, " n"]:
    """log q(x_{t-1} | x_t, x_0)."""
    return case.posterior(t, x[t]).log_prob(x[t - 1])


def _log_bayes(case: Chain, x: Paths, t: int) -> Float[Tensor, " n"]:
    """log q(x_t | x_{t-1}, x_0) by eq. 46."""
    return _log_posterior(case, x, t) + _log_marginal(case, x, t) - _log_marginal(case, x, t - 1)


@SECTION.equation(
    46,
    "q(x_t | x_{t−1}) = q(x_{t−1} | x_t, x_0) q(x_t | x_0) / q(x_{t−1} | x_0), t ≥ 2",
    Kind.SAMPLE,
)
def _eq46() -> Sides:
    case = chain()
    x, steps = [case.x0.expand(30, -1), *draws(70, 4, 30, 2)], range(2, case.steps + 1)
    forward = [
        normal(x[t], math.sqrt(case.alpha[t]) * x[t - 1], 1 - case.alpha[t]).sum(1) for t in steps
    ]

    return same(torch.stack([_log_bayes(case, x, t) for t in steps]), torch.stack(forward))


@SECTION.equation(47, "log p(x) ≥ E_q[log (p(x_0:T) / q(x_1:T | x_0))]", Kind.BOUND)
def _eq47() -> Sides:
    case = chain(sign=-1.0)
    x = rule(case)
    terms = [log_reverse(case, x, t) - log_forward(case, x, t) for t in range(1, case.steps + 1)]

    return bound(
        case.dense().log_evidence(),
        (log_prior(case, x) + total(terms, x[0])).mean(),
        case.dense().gap(),
    )


def _regrouped(below: Tensor, matched: list[Tensor], case: Chain, x: Paths) -> Sides:
    """log p(x_T) p(x_0 | x_1), less `below`, plus the matched terms of t >= 2, against log r."""
    return same(
        log_prior(case, x) + log_reverse(case, x, 1) - below + total(matched, x[0]), log_r(case, x)
    )


@SECTION.equation(
    48, "= E_q[log (p(x_T) ∏_t p(x_{t−1} | x_t) / ∏_t q(x_t | x_{t−1}))]", Kind.SAMPLE
)
def _eq48() -> Sides:
    case = chain()
    x, steps = trajectories(case, 71), range(1, case.steps + 1)
    above = log_prior(case, x) + total([log_reverse(case, x, t) for t in steps], x[0])

    return same(above - total([log_forward(case, x, t) for t in steps], x[0]), log_r(case, x))


@SECTION.equation(49, "p(x_0 | x_1) and q(x_1 | x_0) split off", Kind.SAMPLE)
def _eq49() -> Sides:
    case = chain()
    x, steps = trajectories(case, 72), range(2, case.steps + 1)
    matched = [log_reverse(case, x, t) - log_forward(case, x, t) for t in steps]

    return _regrouped(_log_marginal(case, x, 1), matched, case, x)


def _conditioned(case: Chain, x: Paths) -> list[Tensor]:
    """log p(x_{t-1} | x_t) / q(x_t | x_{t-1}, x_0), with q from q(x_{t-1}, x_t | x_0)."""
    terms = []
    for t in range(2, case.steps + 1):
        joint, first = case.q(t - 1, t), case.q(t - 1)
        log_q = joint.log_prob(torch.stack(x[t - 1 : t + 1], 1)) - first.log_prob(x[t - 1][:, None])
        terms.append(log_reverse(case, x, t) - log_q)

    return terms


@SECTION.equation(50, "q(x_t | x_{t−1}) = q(x_t | x_{t−1}, x_0) in each factor", Kind.SAMPLE)
def _eq50() -> Sides:
    case = chain()
    x = trajectories(case, 73)
    return _regrouped(_log_marginal(case, x, 1), _conditioned(case, x), case, x)


@SECTION.equation(
    51,
    "= E_q[log (p(x_T) p(x_0 | x_1) / q(x_1 | x_0)) "
    "+ log ∏_{t≥2} (p(x_{t−1} | x_t) / q(x_t | x_{t−1}, x_0))]",
    Kind.MEAN,
)
def _eq51() -> Sides:
    case = chain()
    x = rule(case)
    first = log_prior(case, x) + log_reverse(case, x, 1) - _log_marginal(case, x, 1)

    return same(first.mean() + total(_conditioned(case, x), x[0]).mean(), case.dense().elbo())


@SECTION.equation(52, "(46) inserted in the product", Kind.SAMPLE)
def _eq52() -> Sides:
    case = chain()
    x = trajectories(case, 74)
    matched = [log_reverse(case, x, t) - _log_bayes(case, x, t) for t in range(2, case.steps + 1)]

    return _regrouped(_log_marginal(case, x, 1), matched, case, x)


@SECTION.equation(
    53, "∏_{t≥2} q(x_{t−1} | x_0) / q(x_t | x_0) = q(x_1 | x_0) / q(x_T | x_0)", Kind.SAMPLE
)
def _eq53() -> Sides:
    case = chain()
    x = trajectories(case, 75)
    factors = [
        _log_marginal(case, x, t - 1) - _log_marginal(case, x, t) for t in range(2, case.steps + 1)
    ]
    ends = [case.q(t).log_prob(x[t][:, None]) for t in (1, case.steps)]

    return same(total(factors, x[0]), ends[0] - ends[1])


def _matched(case: Chain, x: Paths) -> list[Tensor]:
    """log p(x_{t-1} | x_t) / q(x_{t-1} | x_t, x_0) for t >= 2."""
    return [log_reverse(case, x, t) - _log_posterior(case, x, t) for t in range(2, case.steps + 1)]


@SECTION.equation(
    54,
    "= E_q[log (p(x_T) p(x_0 | x_1) / q(x_1 | x_0)) + log (q(x_1 | x_0) / q(x_T | x_0)) "
    "+ log ∏_{t≥2} (p / q)]",
    Kind.SAMPLE,
)
def _eq54() -> Sides:
    case = chain()
    x = trajectories(case, 76)
    first = _log_marginal(case, x, 1)
    telescoped = case.q(1).log_prob(x[1][:, None]) - _log_marginal(case, x, case.steps)

    return _regrouped(first - telescoped, _matched(case, x), case, x)


@SECTION.equation(
    55,
    "= E_q[log (p(x_T) p(x_0 | x_1) / q(x_T | x_0)) "
    "+ Σ_{t≥2} log (p(x_{t−1} | x_t) / q(x_{t−1} | x_t, x_0))]",
    Kind.SAMPLE,
)
def _eq55() -> Sides:
    case = chain()
    x = trajectories(case, 77)
    return _regrouped(_log_marginal(case, x, case.steps), _matched(case, x), case, x)


@SECTION.equation(56, "three expectations under q(x_1:T | x_0)", Kind.MEAN)
def _eq56() -> Sides:
    case = chain()
    x = rule(case)
    prior = (log_prior(case, x) - _log_marginal(case, x, case.steps)).mean()
    matched = torch.stack([term.mean() for term in _matched(case, x)]).sum()

    return same(log_reverse(case, x, 1).mean() + prior + matched, case.dense().elbo())


@SECTION.equation(
    57, "each expectation under q(x_1 | x_0), q(x_T | x_0), q(x_t, x_{t−1} | x_0)", Kind.MEAN
)
def _eq57() -> Sides:
    case = chain()
    x, last = rule(case), case.steps
    whole = [
        log_reverse(case, x, 1),
        log_prior(case, x) - _log_marginal(case, x, last),
        *_matched(case, x),
    ]
    x1, xT = (case.q(t).points(cubature(1, 2))[:, 0] for t in (1, last))
    each = [case.model(1, x1).log_prob(case.x0.expand(len(x1), -1))]
    each.append(case.prior(len(xT)).log_prob(xT) - case.marginal(last, len(xT)).log_prob(xT))

    for t in range(2, last + 1):
        before, here = case.q(t - 1, t).points(cubature(2, 2)).unbind(1)
        each.append(case.model(t, here).log_prob(before) - case.posterior(t, here).log_prob(before))

    return same(
        torch.stack([term.mean() for term in each]), torch.stack([term.mean() for term in whole])
    )


def _by_matching(case: Chain) -> Bound:
    """Eq. 58 with the library's kernels, as a Bound of one item."""
    x1 = case.marginal(1, 4).draw(cubature(2))
    likely = case.model(1, x1).log_prob(case.x0.expand(4, -1)).mean()
    prior = case.marginal(case.steps).kl(case.prior(1))
    parts = []
    for t in range(2, case.steps + 1):
        x_t = case.marginal(t, 4).draw(cubature(2))
        parts.append(case.posterior(t, x_t).kl(case.model(t, x_t)).mean(0, keepdim=True))

    return Bound(likely[None], prior, tuple(parts))


@SECTION.equation(
    58,
    "= E[log p(x_0 | x_1)] − KL(q(x_T | x_0) ‖ p(x_T)) "
    "− Σ_{t≥2} E KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t))",
    Kind.MEAN,
)
def _eq58() -> Sides:
    case = chain()
    return same(_by_matching(case).total[0], case.dense().elbo())


@SECTION.equation(58, "the library's bound of a denoiser is (58), term by term", Kind.MEAN)
def _eq58_library() -> Sides:
    case, dims = chain(), 2
    steps, eps, A, x0 = case.steps - 1, cubature(dims), case.A, case.x0.expand(2 * dims, -1)
    terms = [
        reconstruction(case.path, Continuous(), x0, eps).mean(),
        -prior_matching(case.path, x0)[0],
    ]

    for i in range(1, steps + 1):
        time = torch.full((2 * dims,), i / steps, dtype=torch.float64)
        truth = Prediction.of(x0, eps, case.path.at(time, like=x0))
        terms.append(diffusion_loss(denoiser(case), truth, steps=steps).mean() / steps)

    squared, variance = (
        float(case.x0.square().sum()),
        (1 - A[1]) / A[1],
    )  # of p(x_0 | x_1) = N(x_1 / sqrt(A_1), .)
    likely = -dims / 2 * (1 + math.log(2 * math.pi * variance))
    prior = 0.5 * (A[-1] * squared + dims * (1 - A[-1]) - dims - dims * math.log(1 - A[-1]))

    return same(
        torch.stack(terms),
        torch.tensor([likely, -prior, *matching_terms(case)], dtype=torch.float64),
    )


@SECTION.equation(
    58, "the library's latents, drawn from the top down, have (58) as their bound", Kind.MEAN
)
def _eq58_descend() -> Sides:
    case, noise = denoised(), cubature(4, 2)
    x0 = case.x0.expand(len(noise), -1)
    latents = DiffusionChain(denoiser(case), Continuous(), case.levels[1:])
    found = generate_top_down(latents, x0, in_turn(noise))

    return same(found.bound.total.mean(), case.dense().elbo())


RAO_BLACKWELL = (
    "A divergence is the conditional mean of its log-ratio, so (58) varies less than (57), "
    "with the same mean."
)


@SECTION.equation(
    58,
    "Var of a term of (57) − Var of that term of (58) = E Var(log-ratio | x_t) > 0",
    Kind.MEAN,
    note=RAO_BLACKWELL,
)
def _eq58_variance() -> Sides:
    case, t, count = chain(), 3, 40_000
    noise = draws(78, count, 2, 2)
    x_t = case.marginal(t, count).draw(noise[:, 0])
    q, p = case.posterior(t, x_t), case.model(t, x_t)
    before = q.draw(noise[:, 1])
    ratio, kl = q.log_prob(before) - p.log_prob(before), q.kl(p)
    centre = kl.mean()
    a, A, B, s = case.alpha[t], case.A[t], case.A[t - 1], case.reverse[t - 1].std
    shrink = (1 - a) * (1 - B) / (1 - A) / s**2  # variance of q over that of p
    nodes = case.marginal(t, 4).draw(cubature(2))
    missed = (case.posterior(t, nodes).mean - case.model(t, nodes).mean).square().sum(1).mean()

    return sampled(
        (ratio - centre) ** 2 - (kl - centre) ** 2,
        2 * (1 - shrink) ** 2 / 2 + shrink * missed / s**2,
    )
