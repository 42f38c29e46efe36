"""Equations 152-161: energies, Langevin dynamics, and scores at many noise levels."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.mixture import Mixture
from ..process.path import Path
from ..process.prediction import Prediction
from ..process.schedule import Geometric
from .check import Kind, Sides, same, section
from .mixture import MixtureCase, gradient, mixture_at, mixture_case, sites
from .rules import cubature, hermite, line, normal

SECTION = section("score", "Score-based models", 152, 161)


def energy(case: MixtureCase, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
    """f(x) with the density of this case = e^-f / Z; Z differs from 1 by (2 pi)^-1/2 and e^-0.7."""
    terms = []
    for mean, std, weight in zip(case.means, case.stds, case.weights, strict=True):
        variance = case.alpha**2 * std**2 + case.sigma**2
        terms.append(
            weight
            * variance**-0.5
            * torch.exp(-((x[:, 0] - case.alpha * mean) ** 2) / (2 * variance))
        )

    return 0.7 - torch.stack(terms).sum(0).log()


def _log_z(case: MixtureCase) -> Tensor:
    """log of the integral of e^-f, by quadrature."""
    x, dx = line(8.0)
    return ((-energy(case, x)).exp() * dx).sum().log()


@SECTION.equation(152, "p(x) = e^{−f(x)} / Z", Kind.DEFINITION)
def _eq152() -> Sides:
    case, x = mixture_case(), sites()
    return same(case.oracle.log_prob(x, case.level), -energy(case, x) - _log_z(case))


@SECTION.equation(153, "∇log p(x) = ∇log(e^{−f(x)} / Z)", Kind.EXACT)
def _eq153() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()

    return same(
        gradient((torch.exp(-energy(case, x)) / _log_z(case).exp()).log(), x),
        case.library_score(x.detach()),
    )


@SECTION.equation(
    154,
    "= ∇log(1/Z) + ∇log e^{−f(x)}, where the first is zero; the library's log p differentiated",
    Kind.EXACT,
)
def _eq154() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()

    return same(
        gradient(case.oracle.log_prob(x, case.level), x),
        gradient(torch.exp(-energy(case, x)).log(), x),
    )


@SECTION.equation(155, "= −∇f(x), whatever Z", Kind.EXACT)
def _eq155() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()
    return same(case.library_score(x.detach()), -gradient(energy(case, x), x))


NO_ERROR = (
    "An approximation in the paper: exact here, as s is built from f, read as noise and back."
)


@SECTION.equation(156, "≈ s_θ(x)", Kind.EXACT, note=NO_ERROR)
def _eq156() -> Sides:
    case, x = mixture_case(), sites().requires_grad_()
    prediction = Prediction.solve(
        "eps", case.sigma * gradient(energy(case, x), x), x.detach(), case.level
    )

    return same(prediction.view("score"), case.library_score(x.detach()))


def _gaussian_score(mean: float, variance: float, x: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
    """The library's score of N(mean, variance), as the law of x_t for Gaussian data."""
    case = mixture_case()
    centre = torch.tensor([[mean / case.alpha]], dtype=torch.float64)
    oracle = Mixture(
        centre, math.sqrt(variance - case.sigma**2) / case.alpha, path=case.oracle.path
    )
    prediction: Prediction = oracle(x, case.level)

    return prediction.view("score")


@SECTION.equation(
    157,
    "E_p ‖s(x) − ∇log p(x)‖² = v(1/v − 1/u)² + m²/u² for s of N(m, u) and p = N(0, v)",
    Kind.EXACT,
)
def _eq157() -> Sides:
    v, u, m = 1.3, 2.1, 0.6
    x, weight = hermite(0.0, math.sqrt(v))
    missed = (_gaussian_score(m, u, x) - _gaussian_score(0.0, v, x)).square()[:, 0]

    return same(weight @ missed, v * (1 / v - 1 / u) ** 2 + m**2 / u**2)


IMPLICIT = "The implicit loss needs no ∇log p, which is why a score can be learned at all."


@SECTION.equation(
    157, "½ E‖s − ∇log p‖² = E[½‖s‖² + ∇·s] + a constant free of s", Kind.CONSTANT, note=IMPLICIT
)
def _eq157_implicit() -> Sides:
    case, explicit, implicit = mixture_case(), [], []
    points, dx = line(8.0)
    for u in (1.0, 1.4, 2.0, 3.0, 5.0):
        x = points.clone().requires_grad_()
        s = _gaussian_score(0.4, u, x)
        density = case.log_p(points).exp() * dx
        explicit.append(0.5 * (density * (s - case.library_score(points))[:, 0].square()).sum())
        implicit.append((density * (0.5 * s.square() + gradient(s, x))[:, 0]).sum())

    return same(torch.stack(explicit), torch.stack(implicit))


@SECTION.equation(
    158, "x ← x + c ∇log p(x) + √(2c) ε keeps variance 1/(1 − c/2) on p = N(0, 1)", Kind.LAW
)
def _eq158() -> Sides:
    found, expected = [], []
    for c in (0.01, 0.3, 1.0, 1.7):
        start, noise = cubature(2, 1).unbind(1)
        x = start / math.sqrt(1 - c / 2)
        after = x + c * _gaussian_score(0.0, 1.0, x) + math.sqrt(2 * c) * noise
        found.append(after.var(correction=0))
        expected.append(1 / (1 - c / 2))

    return same(torch.stack(found), torch.tensor(expected, dtype=torch.float64))


@SECTION.equation(159, "p(x) = c_1 p_1(x) + c_2 p_2(x)", Kind.DEFINITION)
def _eq159() -> Sides:
    case, x = mixture_case(), sites()
    parts = [
        math.log(weight) + normal(x[:, 0], mean, std**2)
        for weight, mean, std in zip(case.weights, case.means, case.stds, strict=True)
    ]

    return same(case.oracle.log_prob(x), torch.stack(parts).logsumexp(0))


FAR = (
    "So a score learned near the modes does not determine their weights, and a short Langevin "
    "chain misses them."
)


@SECTION.equation(
    159,
    "parts far apart: near a mode the score is that part's own, whatever c_1 and c_2",
    Kind.EXACT,
    note=FAR,
)
def _eq159_far() -> Sides:
    case, means = mixture_case(), torch.tensor([[-20.0], [20.0]], dtype=torch.float64)
    near = case.alpha * 20 + sites() / 4
    weights = [torch.tensor(w, dtype=torch.float64) for w in ((0.5, 0.5), (0.99, 0.01))]
    scores = [
        Mixture(means, 0.5, path=case.oracle.path, weights=w)(near, case.level).view("score")
        for w in weights
    ]
    own = (case.alpha * 20 - near) / (case.alpha**2 * 0.25 + case.sigma**2)

    return same(torch.cat(scores), torch.cat([own, own]))


def _exploding(t: float) -> MixtureCase:
    """The mixture with noise of standard deviation 0.1 * 30^t added."""
    path = Path(Geometric(0.1, 3.0), "ve")
    return mixture_at(path, path.at(t), 1.0, 0.1 * 30**t)


@SECTION.equation(160, "p_σ(x_t) = ∫ p(x) N(x_t; x, σ_t² I) dx", Kind.EXACT)
def _eq160() -> Sides:
    found, convolved = [], []
    for t in (0.2, 0.5, 0.9):
        case, (x, dx) = _exploding(t), line(8.0)
        found.append(case.oracle.log_prob(sites(), case.level))
        joint = case.log_density(x, 1.0, 0.0) + normal(sites(), x[:, 0], case.sigma**2)
        convolved.append((joint.exp().sum(1) * dx).log())

    return same(torch.stack(found), torch.stack(convolved))


def _losses(theta: float) -> tuple[Tensor, Tensor]:
    """The loss of (161) and its denoising form, with lambda(t) = sigma_t^2.

    The score model is s(x, t) = -theta x / (1 + sigma_t^2).
    """
    marginal, denoising = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for t in (0.3, 0.6, 0.9):
        case = _exploding(t)
        x, dx = line(20.0)
        missed = (-theta * x / (1 + case.sigma**2) - case.library_score(x))[:, 0].square()
        marginal = marginal + case.sigma**2 * (case.log_p(x).exp() * missed).sum() * dx
        x0, dx0 = line(5.0, 401)
        eps, weight = hermite(0.0, 1.0, 20)
        truth = Prediction.of(x0.repeat(20, 1), eps.repeat_interleave(401, 0), case.level)
        gap = (
            (-theta * truth.x_t / (1 + case.sigma**2) - truth.view("score"))[:, 0]
            .square()
            .reshape(20, 401)
        )
        density = case.log_density(x0, 1.0, 0.0).exp() * dx0
        denoising = denoising + case.sigma**2 * (weight @ gap @ density)

    return marginal, denoising


@SECTION.equation(
    161,
    "Σ_t λ(t) E‖s(x_t, t) − ∇log p_σ(x_t)‖² = the denoising loss + a constant free of θ",
    Kind.CONSTANT,
)
def _eq161() -> Sides:
    pairs = [_losses(theta) for theta in (-1.0, 0.0, 0.5, 1.0, 1.5, 3.0)]
    return same(torch.stack([m for m, _ in pairs]), torch.stack([d for _, d in pairs]))
