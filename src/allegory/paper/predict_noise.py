"""Equations 115-130: the objective as a squared error of the noise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.prediction import Prediction
from .cases import Step, chain, step
from .check import Kind, Sides, same, section

SECTION = section("interpretations", "Three interpretations: noise and score", 115, 151)


@SECTION.equation(115, "x_0 = (x_t − √(1−A_t) ε_0) / √A_t", Kind.SAMPLE)
def _eq115() -> Sides:
    case = step()
    read = Prediction.solve("eps", case.guess, case.x_t, case.t).x0
    return same(read, (case.x_t - math.sqrt(1 - case.A) * case.guess) / math.sqrt(case.A))


def _mean(case: Step, right: Float[Tensor, "n d"]) -> Sides:
    """The mean of the library's q(x_{t-1} | x_t, x_0), against a line in x_t and the noise."""
    return same(case.truth().mean, right)


@SECTION.equation(
    116, "μ_q = (√α_t(1−A_{t−1}) x_t + √A_{t−1}(1−α_t) x_0) / (1−A_t), x_0 by (115)", Kind.SAMPLE
)
def _eq116() -> Sides:
    case = step()
    return _mean(case, case.mean(Prediction.solve("eps", case.eps, case.x_t, case.t).x0))


@SECTION.equation(117, "(115) inserted", Kind.SAMPLE)
def _eq117() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B
    x0 = (case.x_t - math.sqrt(1 - A) * case.eps) / math.sqrt(A)

    return _mean(case, (math.sqrt(a) * (1 - B) * case.x_t + math.sqrt(B) * (1 - a) * x0) / (1 - A))


@SECTION.equation(118, "√A_{t−1} / √A_t = 1 / √α_t used", Kind.SAMPLE)
def _eq118() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B
    second = (1 - a) * (case.x_t - math.sqrt(1 - A) * case.eps) / math.sqrt(a)

    return _mean(case, (math.sqrt(a) * (1 - B) * case.x_t + second) / (1 - A))


@SECTION.equation(
    119,
    "√α_t(1−A_{t−1}) x_t/(1−A_t) + (1−α_t) x_t/((1−A_t)√α_t) − (1−α_t)√(1−A_t) ε_0/((1−A_t)√α_t)",
    Kind.SAMPLE,
)
def _eq119() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B
    own, through = (
        math.sqrt(a) * (1 - B) * case.x_t / (1 - A),
        (1 - a) * case.x_t / ((1 - A) * math.sqrt(a)),
    )

    return _mean(
        case, own + through - (1 - a) * math.sqrt(1 - A) * case.eps / ((1 - A) * math.sqrt(a))
    )


@SECTION.equation(120, "(√α_t(1−A_{t−1})/(1−A_t) + (1−α_t)/((1−A_t)√α_t)) x_t − …", Kind.SAMPLE)
def _eq120() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B
    gain = math.sqrt(a) * (1 - B) / (1 - A) + (1 - a) / ((1 - A) * math.sqrt(a))

    return _mean(
        case, gain * case.x_t - (1 - a) * math.sqrt(1 - A) / ((1 - A) * math.sqrt(a)) * case.eps
    )


def _noise_part(case: Step) -> Float[Tensor, "n d"]:
    """(1 - alpha_t) / (sqrt(1 - A_t) sqrt(alpha_t)) eps_0."""
    return (1 - case.a) / (math.sqrt(1 - case.A) * math.sqrt(case.a)) * case.eps


@SECTION.equation(
    121,
    "(α_t(1−A_{t−1})/((1−A_t)√α_t) + (1−α_t)/((1−A_t)√α_t)) x_t − (1−α_t)/(√(1−A_t)√α_t) ε_0",
    Kind.SAMPLE,
)
def _eq121() -> Sides:
    case = step()
    below = (1 - case.A) * math.sqrt(case.a)

    return _mean(
        case, (case.a * (1 - case.B) / below + (1 - case.a) / below) * case.x_t - _noise_part(case)
    )


@SECTION.equation(122, "((α_t − A_t + 1 − α_t)/((1−A_t)√α_t)) x_t − …", Kind.SAMPLE)
def _eq122() -> Sides:
    case = step()
    gain = (case.a - case.A + 1 - case.a) / ((1 - case.A) * math.sqrt(case.a))
    return _mean(case, gain * case.x_t - _noise_part(case))


@SECTION.equation(123, "((1−A_t)/((1−A_t)√α_t)) x_t − …", Kind.SAMPLE)
def _eq123() -> Sides:
    case = step()

    return _mean(
        case, (1 - case.A) / ((1 - case.A) * math.sqrt(case.a)) * case.x_t - _noise_part(case)
    )


def _by_noise(case: Step, eps: Tensor) -> Float[Tensor, "n d"]:
    """Eq. 124 in the paper's symbols, for any noise."""
    return (
        case.x_t / math.sqrt(case.a)
        - (1 - case.a) / (math.sqrt(1 - case.A) * math.sqrt(case.a)) * eps
    )


@SECTION.equation(124, "μ_q = x_t/√α_t − ((1−α_t)/(√(1−A_t)√α_t)) ε_0", Kind.SAMPLE)
def _eq124() -> Sides:
    case = step()
    return _mean(case, _by_noise(case, case.eps))


@SECTION.equation(124, "at t = 1 it is x_0", Kind.SAMPLE)
def _eq124_first() -> Sides:
    case = step(1)
    return same(case.truth().mean, _by_noise(case, case.eps))


@SECTION.equation(125, "μ_θ = x_t/√α_t − ((1−α_t)/(√(1−A_t)√α_t)) ε̂(x_t, t)", Kind.SAMPLE)
def _eq125() -> Sides:
    case = step()
    return same(case.prediction("eps").mean, _by_noise(case, case.guess))


@SECTION.equation(
    126, "KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) = ‖μ_θ − μ_q‖² / 2σ_q², with ε̂", Kind.EXACT
)
def _eq126() -> Sides:
    case = step()
    x0 = (case.x_t - math.sqrt(1 - case.A) * case.guess) / math.sqrt(case.A)

    return same(
        case.kl("eps"), (case.mean(x0) - case.mean(case.x0)).square().sum(1) / (2 * case.variance)
    )


@SECTION.equation(127, "(124) and (125) inserted", Kind.EXACT)
def _eq127() -> Sides:
    case = step()
    missed = _by_noise(case, case.guess) - _by_noise(case, case.eps)
    return same(case.kl("eps"), missed.square().sum(1) / (2 * case.variance))


@SECTION.equation(128, "the terms in x_t cancelled", Kind.EXACT)
def _eq128() -> Sides:
    case = step()
    weight = (1 - case.a) / (math.sqrt(1 - case.A) * math.sqrt(case.a))

    return same(
        case.kl("eps"),
        (weight * case.eps - weight * case.guess).square().sum(1) / (2 * case.variance),
    )


@SECTION.equation(129, "= ‖((1−α_t)/(√(1−A_t)√α_t)) (ε_0 − ε̂)‖² / 2σ_q²", Kind.EXACT)
def _eq129() -> Sides:
    case = step()
    missed = (1 - case.a) / (math.sqrt(1 - case.A) * math.sqrt(case.a)) * (case.eps - case.guess)
    return same(case.kl("eps"), missed.square().sum(1) / (2 * case.variance))


@SECTION.equation(130, "= (1/2σ_q²) ((1−α_t)² / ((1−A_t)α_t)) ‖ε_0 − ε̂‖²", Kind.EXACT)
def _eq130() -> Sides:
    case = step()
    weight = (1 - case.a) ** 2 / ((1 - case.A) * case.a) / (2 * case.variance)
    return same(case.kl("eps"), weight * (case.eps - case.guess).square().sum(1))


@SECTION.equation(130, "that weight is ½ (SNR(t−1)/SNR(t) − 1), for every t ≥ 2", Kind.EXACT)
def _eq130_weight() -> Sides:
    whole = chain()
    library, letters = [], []
    for t in range(2, whole.steps + 1):
        case = step(t)
        library.append(0.5 * math.expm1(case.s.log_snr_minus(case.t)))
        letters.append((1 - case.a) ** 2 / ((1 - case.A) * case.a) / (2 * case.variance))

    return same(
        torch.tensor(library, dtype=torch.float64), torch.tensor(letters, dtype=torch.float64)
    )
