"""Equations 143-151: the objective of the score, and score and noise as one quantity."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.kernel import posterior
from ..process.prediction import Prediction
from .cases import Step, chain, step
from .check import Kind, Sides, same
from .mixture import MixtureCase, mixture_case, sites
from .predict_noise import SECTION
from .predict_score import POINTWISE


def _by_score(case: Step, score: Tensor) -> Float[Tensor, "n d"]:
    """Eq. 142 in the paper's symbols, for any score."""
    return case.x_t / math.sqrt(case.a) + (1 - case.a) / math.sqrt(case.a) * score


@SECTION.equation(143, "μ_θ = x_t/√α_t + ((1−α_t)/√α_t) s(x_t, t)", Kind.SAMPLE)
def _eq143() -> Sides:
    case = step()
    return same(case.prediction("score").mean, _by_score(case, case.guess))


@SECTION.equation(
    144, "KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) = ‖μ_θ − μ_q‖² / 2σ_q², with s", Kind.EXACT
)
def _eq144() -> Sides:
    case = step()
    x0 = (case.x_t + (1 - case.A) * case.guess) / math.sqrt(case.A)

    return same(
        case.kl("score"), (case.mean(x0) - case.mean(case.x0)).square().sum(1) / (2 * case.variance)
    )


@SECTION.equation(145, "(142) and (143) inserted", Kind.EXACT, note=POINTWISE, as_printed=False)
def _eq145() -> Sides:
    case = step()
    missed = _by_score(case, case.guess) - _by_score(case, case.score)
    return same(case.kl("score"), missed.square().sum(1) / (2 * case.variance))


@SECTION.equation(146, "the terms in x_t cancelled", Kind.EXACT, note=POINTWISE, as_printed=False)
def _eq146() -> Sides:
    case = step()
    weight = (1 - case.a) / math.sqrt(case.a)

    return same(
        case.kl("score"),
        (weight * case.guess - weight * case.score).square().sum(1) / (2 * case.variance),
    )


@SECTION.equation(
    147,
    "= ‖((1−α_t)/√α_t) (s − ∇log p(x_t))‖² / 2σ_q²",
    Kind.EXACT,
    note=POINTWISE,
    as_printed=False,
)
def _eq147() -> Sides:
    case = step()
    missed = (1 - case.a) / math.sqrt(case.a) * (case.guess - case.score)
    return same(case.kl("score"), missed.square().sum(1) / (2 * case.variance))


def _weight(case: Step) -> float:
    """(1 - alpha_t)^2 / (2 sigma_q^2 alpha_t), the weight of line 148."""
    return (1 - case.a) ** 2 / case.a / (2 * case.variance)


@SECTION.equation(
    148,
    "= (1/2σ_q²) ((1−α_t)²/α_t) ‖s − ∇log q(x_t | x_0)‖²",
    Kind.EXACT,
    note=POINTWISE,
    as_printed=False,
)
def _eq148() -> Sides:
    case = step()
    return same(case.kl("score"), _weight(case) * (case.guess - case.score).square().sum(1))


def _expected_kl(
    guesses: Float[Tensor, " n"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], MixtureCase, Tensor]:
    """E[KL | x_t] and weight |s - grad log p(x_t)|^2 for each guess of the score; the case, x_t."""
    case, letters, before = mixture_case(), step(), chain().levels[2]
    x_t = sites()[2:3]
    x0, p = case.weigh(x_t)
    many = x_t.expand(len(x0), -1)
    q = posterior(Prediction.solve("x0", x0, many, case.level), before)
    predictions = [
        Prediction.solve("score", torch.full_like(many, float(g)), many, case.level)
        for g in guesses
    ]
    divergences = torch.stack(
        [(p[0] * q.kl(posterior(prediction, before))).sum() for prediction in predictions]
    )
    missed = (guesses - case.library_score(x_t)[0]).square()

    return divergences, _weight(letters) * missed, case, x_t


UP_TO_CONSTANT = (
    "With the marginal score: in mean over x_0, up to a constant free of θ, so with the same "
    "arg min."
)


@SECTION.equation(
    148,
    "E[KL | x_t] = weight · ‖s − ∇log p(x_t)‖² + a constant free of θ",
    Kind.CONSTANT,
    note=UP_TO_CONSTANT,
    as_printed=False,
)
def _eq148_marginal() -> Sides:
    found, expected, _, _ = _expected_kl(torch.linspace(-3, 3, 13, dtype=torch.float64))
    return same(found, expected)


@SECTION.equation(
    148,
    "that constant is weight · Var(ε_0 | x_t) / (1−A_t)",
    Kind.EXACT,
    note=UP_TO_CONSTANT,
    as_printed=False,
)
def _eq148_constant() -> Sides:
    found, expected, case, x_t = _expected_kl(torch.zeros(1, dtype=torch.float64))
    # Var(eps | x_t) = A / (1 - A) Var(x_0 | x_t)
    variance = case.oracle.covariance(x_t, case.level)[0, 0]

    return same(found - expected, _weight(step()) * case.alpha**2 / case.sigma**4 * variance)


def _expected_eps(case: MixtureCase, x_t: Tensor) -> Float[Tensor, "n 1"]:
    """E[eps_0 | x_t], by quadrature."""
    return (x_t - case.alpha * case.mean_x0(x_t)) / case.sigma


@SECTION.equation(
    149,
    "(x_t + (1−A_t) ∇log q(x_t | x_0)) / √A_t = (x_t − √(1−A_t) ε_0) / √A_t",
    Kind.SAMPLE,
    note=POINTWISE,
    as_printed=False,
)
def _eq149() -> Sides:
    case = step()
    read = Prediction.solve("score", case.score, case.x_t, case.t).x0
    return same(read, (case.x_t - math.sqrt(1 - case.A) * case.eps) / math.sqrt(case.A))


@SECTION.equation(
    149, "the same with ∇log p(x_t) and E[ε_0 | x_t]", Kind.MEAN, note=POINTWISE, as_printed=False
)
def _eq149_marginal() -> Sides:
    case, x_t = mixture_case(), sites()
    read = Prediction.solve("score", case.library_score(x_t), x_t, case.level).x0
    return same(read, (x_t - case.sigma * _expected_eps(case, x_t)) / case.alpha)


@SECTION.equation(
    150, "(1−A_t) ∇log q(x_t | x_0) = −√(1−A_t) ε_0", Kind.SAMPLE, note=POINTWISE, as_printed=False
)
def _eq150() -> Sides:
    case = step()
    score = Prediction.of(case.x0, case.eps, case.t).view("score")
    return same((1 - case.A) * score, math.sqrt(case.A) * case.x0 - case.x_t)


@SECTION.equation(
    150, "(1−A_t) ∇log p(x_t) = −√(1−A_t) E[ε_0 | x_t]", Kind.MEAN, note=POINTWISE, as_printed=False
)
def _eq150_marginal() -> Sides:
    case, x_t = mixture_case(), sites()
    return same(case.sigma**2 * case.library_score(x_t), -case.sigma * _expected_eps(case, x_t))


@SECTION.equation(
    151, "∇log q(x_t | x_0) = −ε_0 / √(1−A_t)", Kind.SAMPLE, note=POINTWISE, as_printed=False
)
def _eq151() -> Sides:
    case = step()

    return same(
        Prediction.of(case.x0, case.eps, case.t).view("score"), -case.eps / math.sqrt(1 - case.A)
    )


@SECTION.equation(
    151, "∇log p(x_t) = −E[ε_0 | x_t] / √(1−A_t)", Kind.MEAN, note=POINTWISE, as_printed=False
)
def _eq151_marginal() -> Sides:
    case, x_t = mixture_case(), sites()
    return same(case.library_score(x_t), -_expected_eps(case, x_t) / case.sigma)
