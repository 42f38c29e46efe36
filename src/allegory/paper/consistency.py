"""Equations 44 and 45: the consistency terms.

The step from 44 to 45 does not hold as printed; `chain.py` gives the difference.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..data.spec import DataSpec
from ..likelihood import Continuous, Inference
from ..models import unroll
from ..process.kernel import Gaussian
from .cases import Chain, chain
from .chain import SECTION, log_forward, log_prior, log_reverse, rule
from .check import Kind, Sides, bound, same
from .denoised import denoised, denoiser
from .rules import cubature, in_turn


def _terms_44(case: Chain) -> list[Tensor]:
    """The T + 1 expectations of eq. 44, each under the joint law of its own variables."""
    last, dims = case.steps, case.x0.shape[1]
    x1 = case.q(1).points(cubature(1, dims))[:, 0]
    pair = case.q(last - 1, last).points(cubature(2, dims))
    terms = [case.model(1, x1).log_prob(case.x0.expand(len(x1), -1)).mean()]
    terms.append(
        (
            case.prior(len(pair)).log_prob(pair[:, 1])
            - case.forward(last, pair[:, 0]).log_prob(pair[:, 1])
        ).mean()
    )

    for t in range(1, last):
        before, here, after = _triple(case, t)
        terms.append(
            (
                case.model(t + 1, after).log_prob(here) - case.forward(t, before).log_prob(here)
            ).mean()
        )

    return terms


def _triple(case: Chain, t: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points of q(x_{t-1}, x_t, x_{t+1} | x_0)."""
    dims = case.x0.shape[1]
    if t == 1:
        x1, x2 = case.q(1, 2).points(cubature(2, dims)).unbind(1)
        return case.x0.expand(len(x1), -1), x1, x2
    before, here, after = case.q(t - 1, t, t + 1).points(cubature(3, dims)).unbind(1)

    return before, here, after


def _third_45(case: Chain) -> Tensor:
    """-sum_t E KL(q(x_t | x_{t-1}) || p(x_t | x_{t+1})), the third term of eq. 45."""
    total = torch.zeros((), dtype=torch.float64)
    for t in range(1, case.steps):
        before, _, after = _triple(case, t)
        total = total - case.forward(t, before).kl(case.model(t + 1, after)).mean()

    return total


def printed_bound(case: Chain) -> Tensor:
    """Eq. 45 as printed, for this case."""
    before = case.q(case.steps - 1).points(cubature(1, case.x0.shape[1]))[:, 0]
    prior = case.forward(case.steps, before).kl(case.prior(len(before))).mean()
    return _terms_44(case)[0] - prior + _third_45(case)


def gap(case: Chain) -> float:
    """(44) - (45) = d sum_{t<T} a_{t+1} sqrt(alpha_{t+1}) (1 - alpha_t) / s_{t+1}^2 of `case`."""
    parts = []
    for t in range(1, case.steps):
        above = case.reverse[t]  # p(x_t | x_{t+1})
        parts.append(above.gain * math.sqrt(case.alpha[t + 1]) * (1 - case.alpha[t]) / above.std**2)

    return case.x0.shape[1] * sum(parts)


@SECTION.equation(
    44,
    "each expectation under q(x_1 | x_0), q(x_{T−1}, x_T | x_0), q(x_{t−1}, x_t, x_{t+1} | x_0)",
    Kind.MEAN,
)
def _eq44() -> Sides:
    case = chain()
    x = rule(case)
    whole = [
        log_reverse(case, x, 1).mean(),
        (log_prior(case, x) - log_forward(case, x, case.steps)).mean(),
    ]
    for t in range(1, case.steps):
        whole.append((case.model(t + 1, x[t + 1]).log_prob(x[t]) - log_forward(case, x, t)).mean())

    return same(torch.stack(_terms_44(case)), torch.stack(whole))


@SECTION.equation(44, "the sum is the bound of 37", Kind.MEAN)
def _eq44_sum() -> Sides:
    case = chain()
    return same(torch.stack(_terms_44(case)).sum(), case.dense().elbo())


NOT_EQUAL = (
    "Does not hold as printed: the third term needs q(x_t | x_{t−1}, x_{t+1}) where the paper has "
    "q(x_t | x_{t−1}). (44) exceeds (45) by d Σ a_{t+1} √α_{t+1} (1 − α_t) / s²_{t+1} exactly, "
    "for p(x_t | x_{t+1}) = N(a x_{t+1} + b, s² I)."
)


@SECTION.equation(
    45,
    "(44) − (45) = d Σ_{t<T} a_{t+1} √α_{t+1} (1 − α_t) / s²_{t+1}",
    Kind.EXACT,
    note=NOT_EQUAL,
    as_printed=False,
)
def _eq45_gap() -> Sides:
    cases = [chain(), chain(sign=-1.0)]
    found = torch.stack(
        [torch.stack(_terms_44(case)).sum() - printed_bound(case) for case in cases]
    )

    return same(found, torch.tensor([gap(case) for case in cases], dtype=torch.float64))


@SECTION.equation(45, "terms 1 and 2 of (45) are those of (44)", Kind.MEAN)
def _eq45_first() -> Sides:
    case = chain()
    before = case.q(case.steps - 1).points(cubature(1, 2))[:, 0]
    prior = case.forward(case.steps, before).kl(case.prior(len(before))).mean()

    return same(-prior, _terms_44(case)[1])


CORRECTED = (
    "The corrected form: the divergence of q(x_t | x_{t−1}, x_{t+1}), and the mutual information "
    "of x_t and x_{t+1} given x_{t−1}."
)


@SECTION.equation(
    45,
    "(44), term 3 = −Σ E KL(q(x_t | x_{t−1}, x_{t+1}) ‖ p(x_t | x_{t+1})) "
    "+ Σ (d/2) log((1 − α_t α_{t+1}) / (1 − α_{t+1}))",
    Kind.MEAN,
    note=CORRECTED,
    as_printed=False,
)
def _eq45_corrected() -> Sides:
    case, right = chain(), []
    for t in range(1, case.steps):
        before, _, after = _triple(case, t)
        a, b = case.alpha[t], case.alpha[t + 1]
        mean = (math.sqrt(a) * (1 - b) * before + math.sqrt(b) * (1 - a) * after) / (1 - a * b)
        between = Gaussian(mean, math.sqrt((1 - a) * (1 - b) / (1 - a * b)))
        information = case.x0.shape[1] / 2 * math.log((1 - a * b) / (1 - b))
        right.append(information - between.kl(case.model(t + 1, after)).mean())

    return same(torch.stack(_terms_44(case)[2:]), torch.stack(right))


def _as_hierarchy(case: Chain, noise: Tensor) -> Inference:
    """The latents of the library's diffusion model as a hierarchy, drawn bottom-up."""
    data = DataSpec(shape=(case.x0.shape[1],), low=-1.0, high=1.0)
    whole = unroll(denoiser(case), data, Continuous(), case.levels[1:])
    return whole.infer(case.x0.expand(len(noise), -1), in_turn(noise))


@SECTION.equation(44, "the library's diffusion as a hierarchy has this bound", Kind.MEAN)
def _eq44_library() -> Sides:
    case = denoised()

    return same(
        _as_hierarchy(case, cubature(4, 2)).bound.total.mean(), torch.stack(_terms_44(case)).sum()
    )


@SECTION.equation(45, "the library's `consistency` of that hierarchy is (45)", Kind.MEAN)
def _eq45_library() -> Sides:
    case = denoised()

    return same(
        _as_hierarchy(case, cubature(4, 2)).consistency.total.mean(),
        case.dense().elbo() - gap(case),
    )


@SECTION.equation(45, "(45) is a lower bound of log p(x) all the same", Kind.BOUND)
def _eq45_bound() -> Sides:
    cases = [chain(), chain(sign=-1.0)]
    evidence = torch.stack([case.dense().log_evidence() for case in cases])
    missed = torch.stack([case.dense().gap() + gap(case) for case in cases])

    return bound(evidence, torch.stack([printed_bound(case) for case in cases]), missed)
