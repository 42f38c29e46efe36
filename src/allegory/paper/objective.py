"""Equations 86-100: the objective as a squared error of x_0, for t >= 2.

It is the divergence of two Gaussians of one variance.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal

from ..likelihood import Continuous, variational_bound
from .cases import Step, chain, step
from .check import Kind, Sides, same, sampled, section
from .denoised import denoiser, matching_terms
from .rules import cubature, draws, normal

SECTION = section("objective", "The objective: predict x_0", 86, 100)


def _kl(
    gap: Float[Tensor, "n d"], first: Float[Tensor, "d d"], second: Float[Tensor, "d d"]
) -> Float[Tensor, " n"]:
    """Eq. 86 for means that differ by `gap`, with covariances `first` and `second`."""
    ratio = torch.logdet(second) - torch.logdet(first)
    trace = torch.trace(torch.linalg.solve(second, first)) - gap.shape[1]
    pull: Tensor = torch.linalg.solve(second, gap.T).T

    return 0.5 * (ratio + trace + (gap * pull).sum(1))


@SECTION.equation(
    86,
    "KL(N(μ_x, Σ_x) ‖ N(μ_y, Σ_y)) = "
    "½[log(det Σ_y/det Σ_x) − d + tr(Σ_y⁻¹Σ_x) + (μ_y−μ_x)ᵀΣ_y⁻¹(μ_y−μ_x)]",
    Kind.EXACT,
)
def _eq86() -> Sides:
    case, t = chain(dims=3), 3
    x_t, eye = draws(100, 5, 3), torch.eye(3, dtype=torch.float64)
    q, p = case.posterior(t, x_t), case.model(t, x_t)

    return same(q.kl(p), _kl(p.mean - q.mean, float(q.std) ** 2 * eye, float(p.std) ** 2 * eye))


@SECTION.equation(86, "the formula is E[log p_x − log p_y], with full covariances", Kind.MEAN)
def _eq86_mean() -> Sides:
    roots, means = draws(101, 2, 3, 3), draws(102, 2, 3)
    first, second = roots @ roots.mT + torch.eye(3, dtype=torch.float64)
    x = means[0] + cubature(3) @ torch.linalg.cholesky(first).T
    log_ratio = MultivariateNormal(means[0], first).log_prob(x) - MultivariateNormal(
        means[1], second
    ).log_prob(x)

    return same(log_ratio.mean(), _kl((means[1] - means[0])[None], first, second)[0])


def _means(case: Step) -> Float[Tensor, "n d"]:
    """mu_theta - mu_q, in the paper's symbols."""
    return case.mean(case.guess) - case.mean(case.x0)


@SECTION.equation(
    87, "KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) = KL(N(μ_q, Σ_q) ‖ N(μ_θ, Σ_q))", Kind.EXACT
)
def _eq87() -> Sides:
    case, noise = step(), cubature(3)
    x = case.mean(case.x0)[:, None] + math.sqrt(case.variance) * noise
    log_ratio = normal(x, case.mean(case.x0)[:, None], case.variance) - normal(
        x, case.mean(case.guess)[:, None], case.variance
    )

    return same(case.kl("x0"), log_ratio.sum(2).mean(1))


@SECTION.equation(
    88, "= ½[log(det Σ_q/det Σ_q) − d + tr(Σ_q⁻¹Σ_q) + (μ_θ−μ_q)ᵀΣ_q⁻¹(μ_θ−μ_q)]", Kind.EXACT
)
def _eq88() -> Sides:
    case = step()
    cov = case.variance * torch.eye(3, dtype=torch.float64)
    return same(case.kl("x0"), _kl(_means(case), cov, cov))


@SECTION.equation(89, "= ½[log 1 − d + d + (μ_θ−μ_q)ᵀΣ_q⁻¹(μ_θ−μ_q)]", Kind.EXACT)
def _eq89() -> Sides:
    case, d = step(), 3
    cov = case.variance * torch.eye(d, dtype=torch.float64)
    quadratic = (_means(case) * torch.linalg.solve(cov, _means(case).T).T).sum(1)

    return same(case.kl("x0"), 0.5 * (math.log(1) - d + d + quadratic))


@SECTION.equation(90, "= ½ (μ_θ−μ_q)ᵀΣ_q⁻¹(μ_θ−μ_q)", Kind.EXACT)
def _eq90() -> Sides:
    case = step()
    inverse = torch.linalg.inv(case.variance * torch.eye(3, dtype=torch.float64))

    return same(
        case.kl("x0"), 0.5 * torch.einsum("nd,de,ne->n", _means(case), inverse, _means(case))
    )


@SECTION.equation(91, "= ½ (μ_θ−μ_q)ᵀ(σ_q²(t) I)⁻¹(μ_θ−μ_q)", Kind.EXACT)
def _eq91() -> Sides:
    case = step()
    return same(case.kl("x0"), 0.5 * (_means(case) * (_means(case) / case.variance)).sum(1))


@SECTION.equation(92, "= ‖μ_θ − μ_q‖² / 2σ_q²(t)", Kind.EXACT)
def _eq92() -> Sides:
    case = step()
    return same(case.kl("x0"), _means(case).norm(dim=1) ** 2 / (2 * case.variance))


@SECTION.equation(
    93, "μ_q(x_t, x_0) = (√α_t (1 − A_{t−1}) x_t + √A_{t−1} (1 − α_t) x_0) / (1 − A_t)", Kind.SAMPLE
)
def _eq93() -> Sides:
    case = step()
    return same(case.truth().mean, case.mean(case.x0))


@SECTION.equation(
    94,
    "μ_θ(x_t, t) = (√α_t (1 − A_{t−1}) x_t + √A_{t−1} (1 − α_t) x̂(x_t, t)) / (1 − A_t)",
    Kind.SAMPLE,
)
def _eq94() -> Sides:
    case = step()
    return same(case.prediction("x0").mean, case.mean(case.guess))


@SECTION.equation(
    95, "the divergence of the next chain of lines is that of (92), here at t = 2", Kind.EXACT
)
def _eq95() -> Sides:
    case = step(2)
    return same(case.kl("x0"), _means(case).square().sum(1) / (2 * case.variance))


@SECTION.equation(96, "(93) and (94) inserted", Kind.EXACT)
def _eq96() -> Sides:
    case = step()
    a, A, B, x_t = case.a, case.A, case.B, case.x_t
    guessed = (math.sqrt(a) * (1 - B) * x_t + math.sqrt(B) * (1 - a) * case.guess) / (1 - A)
    true = (math.sqrt(a) * (1 - B) * x_t + math.sqrt(B) * (1 - a) * case.x0) / (1 - A)

    return same(case.kl("x0"), (guessed - true).square().sum(1) / (2 * case.variance))


@SECTION.equation(
    97, "= ‖√A_{t−1}(1−α_t) x̂ / (1−A_t) − √A_{t−1}(1−α_t) x_0 / (1−A_t)‖² / 2σ_q²", Kind.EXACT
)
def _eq97() -> Sides:
    case = step()
    weight = math.sqrt(case.B) * (1 - case.a) / (1 - case.A)

    return same(
        case.kl("x0"),
        (weight * case.guess - weight * case.x0).square().sum(1) / (2 * case.variance),
    )


@SECTION.equation(98, "= ‖(√A_{t−1}(1−α_t) / (1−A_t)) (x̂ − x_0)‖² / 2σ_q²", Kind.EXACT)
def _eq98() -> Sides:
    case = step()
    missed = math.sqrt(case.B) * (1 - case.a) / (1 - case.A) * (case.guess - case.x0)
    return same(case.kl("x0"), missed.square().sum(1) / (2 * case.variance))


@SECTION.equation(99, "= (1/2σ_q²) (A_{t−1}(1−α_t)² / (1−A_t)²) ‖x̂ − x_0‖²", Kind.EXACT)
def _eq99() -> Sides:
    case = step()
    weight = case.B * (1 - case.a) ** 2 / (1 - case.A) ** 2 / (2 * case.variance)
    return same(case.kl("x0"), weight * (case.guess - case.x0).square().sum(1))


LEFT_OUT = (
    "t = 1 is not in it, and the sum of (58) is T − 1 times the mean: draw t from 2..T and "
    "multiply by the weights."
)


@SECTION.equation(100, "(T − 1) E_{t~U{2..T}} E KL = the sum of (58)", Kind.MEAN, note=LEFT_OUT)
def _eq100() -> Sides:
    case, items = chain(), 6000
    x0 = case.x0.expand(items, -1)
    found = variational_bound(
        denoiser(case),
        x0,
        Continuous(),
        seeds=range(103, 103 + items),
        draws=1,
        steps=case.steps - 1,
    )

    return sampled(found.diffusion, sum(matching_terms(case)))
