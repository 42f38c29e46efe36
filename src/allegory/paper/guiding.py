"""Equations 162-170: guidance, on a labelled mixture with known scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..guidance import ClassifierFree, ClassifierGuidance
from ..process.kernel import posterior
from ..process.mixture import Mixture
from .cases import chain
from .check import Kind, Sides, same, section
from .denoised import layers
from .dense import Ladder
from .mixture import MixtureCase, gradient, mixture_case, sites
from .rules import draws

SECTION = section("guidance", "Guidance", 162, 170)

SCALES = (-0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
LABEL = 0
MEANS, STD = (-1.2, 0.9), 0.6
"""Labelled data of eq. 162: N(mean of the label, STD^2)."""


NO_LABEL_IN_PRIOR = "p(x_T) carries no y: the label acts in the steps alone."


@SECTION.equation(
    162,
    "p(x_0:T | y) = p(x_T) ∏_t p(x_{t−1} | x_t, y), for each y",
    Kind.SAMPLE,
    note=NO_LABEL_IN_PRIOR,
)
def _eq162() -> Sides:
    case, found, dense = chain(dims=1), [], []
    means = torch.tensor(MEANS, dtype=torch.float64)[:, None]
    oracle = Mixture(means, STD, path=case.path, labels=torch.tensor([0, 1]))
    x = [*draws(110, case.steps + 1, 30, 1)]

    for y in (0, 1):
        steps, label = layers(case, means[y], STD), torch.full((30,), y)
        terms = [case.prior(30).log_prob(x[-1]), steps[0].given(x[1]).log_prob(x[0])]
        for t in range(2, case.steps + 1):
            prediction = oracle(x[t], case.levels[t], label)
            terms.append(posterior(prediction, case.levels[t - 1]).log_prob(x[t - 1]))
        found.append(torch.stack(terms).sum(0))
        dense.append(Ladder(case.x0, steps, steps).p().log_prob(torch.stack(x, 1)))

    return same(torch.cat(found), torch.cat(dense))


def _log_classifier(case: MixtureCase, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
    """log p(y | x_t) of the noisy x_t, by Bayes' rule over the components."""
    return case.log_p(x, LABEL) - case.log_p(x)


def _slopes(case: MixtureCase) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n 1"]]:
    """grad log p(x_t) and grad log p(y | x_t) at the sites, by differentiation."""
    x = sites().requires_grad_()
    return gradient(case.log_p(x), x), gradient(_log_classifier(case, x), x)


@SECTION.equation(163, "∇log p(x_t | y) = ∇log(p(x_t) p(y | x_t) / p(y))", Kind.EXACT)
def _eq163() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()
    p_y = sum(w for w, label in zip(case.weights, case.labels, strict=True) if label == LABEL)
    joint = case.log_p(x).exp() * _log_classifier(case, x).exp()

    return same(case.library_score(x.detach(), LABEL), gradient((joint / p_y).log(), x))


@SECTION.equation(
    164,
    "= ∇log p(x_t) + ∇log p(y | x_t) − ∇log p(y), where the last is zero; "
    "the library's log p differentiated",
    Kind.EXACT,
)
def _eq164() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()
    conditional = gradient(case.oracle.log_prob(x, case.level, torch.full((len(x),), LABEL)), x)
    free, classifier = _slopes(case)

    return same(conditional, free + classifier)


@SECTION.equation(165, "= ∇log p(x_t) + ∇log p(y | x_t)", Kind.EXACT)
def _eq165() -> Sides:
    case = mixture_case()
    return same(case.library_score(sites(), LABEL), case.library_score(sites()) + _slopes(case)[1])


def _guided(case: MixtureCase) -> Float[Tensor, "g n 1"]:
    """The library's guided score for each scale."""
    label = torch.full((len(sites()),), LABEL)

    return torch.stack(
        [ClassifierFree(g)(case.oracle)(sites(), case.level, label).view("score") for g in SCALES]
    )


def _guided_by_classifier(case: MixtureCase) -> Float[Tensor, "g n 1"]:
    """The library's score under the gradient of the exact p(y | x_t), for each scale."""
    label = torch.full((len(sites()),), LABEL)
    guides = [ClassifierGuidance(case.oracle, g) for g in SCALES]

    return torch.stack(
        [guide(case.oracle)(sites(), case.level, label).view("score") for guide in guides]
    )


AWAY_FROM_ONE = (
    "Away from γ = 1 the left side is redefined: it is the score of p(x_t) p(y | x_t)^γ, "
    "not of p(x_t | y)."
)


@SECTION.equation(
    166,
    "∇log p(x_t) + γ ∇log p(y | x_t) = ∇log(p(x_t) p(y | x_t)^γ)",
    Kind.EXACT,
    note=AWAY_FROM_ONE,
    as_printed=False,
)
def _eq166() -> Sides:
    case, sharpened = mixture_case(), []
    for g in SCALES:
        x = sites().requires_grad_()
        sharpened.append(gradient(case.log_p(x) + g * _log_classifier(case, x), x))

    return same(_guided_by_classifier(case), torch.stack(sharpened))


@SECTION.equation(
    166,
    "less the true ∇log p(x_t | y) it is (γ − 1) ∇log p(y | x_t)",
    Kind.EXACT,
    note=AWAY_FROM_ONE,
    as_printed=False,
)
def _eq166_as_printed() -> Sides:
    case = mixture_case()
    _, classifier = _slopes(case)
    excess = _guided(case) - case.library_score(sites(), LABEL)

    return same(excess, torch.stack([(g - 1) * classifier for g in SCALES]))


@SECTION.equation(167, "∇log p(y | x_t) = ∇log p(x_t | y) − ∇log p(x_t)", Kind.EXACT)
def _eq167() -> Sides:
    case = mixture_case()
    return same(case.library_score(sites(), LABEL) - case.library_score(sites()), _slopes(case)[1])


def _two_scores(case: MixtureCase) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n 1"]]:
    """grad log p(x_t | y) and grad log p(x_t), by differentiation in the paper's symbols."""
    x = sites().requires_grad_()
    return gradient(case.log_p(x, LABEL), x), gradient(case.log_p(x), x)


@SECTION.equation(
    168,
    "= ∇log p(x_t) + γ (∇log p(x_t | y) − ∇log p(x_t))",
    Kind.EXACT,
    note=AWAY_FROM_ONE,
    as_printed=False,
)
def _eq168() -> Sides:
    case = mixture_case()
    conditional, free = _two_scores(case)
    return same(_guided(case), torch.stack([free + g * (conditional - free) for g in SCALES]))


@SECTION.equation(
    169,
    "= ∇log p(x_t) + γ ∇log p(x_t | y) − γ ∇log p(x_t)",
    Kind.EXACT,
    note=AWAY_FROM_ONE,
    as_printed=False,
)
def _eq169() -> Sides:
    case = mixture_case()
    conditional, free = _two_scores(case)
    return same(_guided(case), torch.stack([free + g * conditional - g * free for g in SCALES]))


@SECTION.equation(
    170,
    "= γ ∇log p(x_t | y) + (1 − γ) ∇log p(x_t)",
    Kind.EXACT,
    note=AWAY_FROM_ONE + " γ = 1 is unguided; γ = 1 + w of Ho & Salimans.",
    as_printed=False,
)
def _eq170() -> Sides:
    case = mixture_case()
    conditional, free = _two_scores(case)
    return same(_guided(case), torch.stack([g * conditional + (1 - g) * free for g in SCALES]))
