"""Equations 17-22: the evidence lower bound of a linear-Gaussian variational autoencoder."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal

from ..likelihood import GaussianObservation, LatentChain, infer_bottom_up
from .cases import VAE, vae
from .check import Kind, Sides, same, sampled, section
from .rules import cubature, draws, hermite, in_turn, normal

SECTION = section("vae", "Variational autoencoder", 17, 22)


@SECTION.equation(17, "ELBO = E_q[log (p(x | z) p(z) / q(z | x))]", Kind.SAMPLE)
def _eq17() -> Sides:
    case, dims = vae(), 2
    z = case.encoder(50).draw(draws(40, 50, 1))
    cov = torch.eye(dims + 1, dtype=torch.float64)
    cov[0, 1:] = cov[1:, 0] = case.w
    cov[1:, 1:] = case.w[:, None] * case.w + case.s**2 * torch.eye(dims, dtype=torch.float64)
    joint = MultivariateNormal(torch.cat([torch.zeros(1, dtype=torch.float64), case.c]), cov)
    whole = joint.log_prob(torch.cat([z, case.x.expand(50, -1)], 1))
    split = case.log_likelihood(z) + case.prior(50).log_prob(z) - case.encoder(50).log_prob(z)

    return same(split, whole - normal(z[:, 0], case.mean, case.std**2))


@SECTION.equation(18, "= E_q[log p(x | z)] + E_q[log (p(z) / q(z | x))]", Kind.MEAN)
def _eq18() -> Sides:
    case = vae()
    z, weight = hermite(case.mean, case.std)
    log_ratio = case.prior(len(z)).log_prob(z) - case.encoder(len(z)).log_prob(z)

    return same(weight @ case.log_likelihood(z) + weight @ log_ratio, case.elbo())


@SECTION.equation(19, "= E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))", Kind.MEAN)
def _eq19() -> Sides:
    case = vae()
    z = case.encoder(2).draw(cubature(1))
    return same(case.log_likelihood(z).mean() - case.encoder().kl(case.prior(1))[0], case.elbo())


@SECTION.equation(19, "the library's bound of one latent is (19)", Kind.MEAN)
def _eq19_library() -> Sides:
    case, noise = vae(), cubature(1, 1)
    x = case.x.expand(len(noise), -1)
    chain = LatentChain(
        [lambda x: case.encoder(len(x))], [], lambda z: GaussianObservation(case.decoder(z))
    )
    found = infer_bottom_up(chain, x, in_turn(noise))

    return same(found.bound.total.mean(), case.elbo())


@SECTION.equation(20, "q(z | x) = N(z; μ(x), σ²(x) I): mean, variance and density", Kind.DEFINITION)
def _eq20() -> Sides:
    case = vae()
    z = case.encoder(2).draw(cubature(1))
    moments = torch.stack([z.mean(), z.var(correction=0), *case.encoder(2).log_prob(z)])
    expected = torch.tensor([case.mean, case.std**2], dtype=torch.float64)

    return same(moments, torch.cat([expected, normal(z[:, 0], case.mean, case.std**2)]))


@SECTION.equation(21, "p(z) = N(z; 0, I)", Kind.DEFINITION)
def _eq21() -> Sides:
    z = 2 * draws(41, 20, 1)
    return same(vae().prior(20).log_prob(z), normal(z[:, 0], 0.0, 1.0))


def _sampled_likelihood(case: VAE, per_item: int, items: int) -> torch.Tensor:
    """sum_l log p(x | z^(l)) over `per_item` draws, for each of `items` items."""
    count = per_item * items
    z = case.encoder(count).draw(draws(42, count, 1))
    return case.log_likelihood(z).reshape(items, per_item).sum(1)


NEEDS_1_OVER_L = (
    "Printed without the factor 1/L, which it needs: with it the objective is unbiased for every L."
)


@SECTION.equation(
    22,
    "ELBO ≈ (1/L) Σ_l log p(x | z⁽ˡ⁾) − KL(q(z | x) ‖ p(z))",
    Kind.MEAN,
    note=NEEDS_1_OVER_L,
    as_printed=False,
)
def _eq22() -> Sides:
    case, many = vae(), 3
    draws_of_elbo = (
        _sampled_likelihood(case, many, 8000) / many - case.encoder().kl(case.prior(1))[0]
    )

    return sampled(draws_of_elbo, case.elbo())


WITHOUT = (
    "Not an equality as printed: without 1/L the sum over L draws exceeds the ELBO by "
    "(L − 1) E_q[log p(x | z)]."
)


@SECTION.equation(
    22,
    "Σ_l log p(x | z⁽ˡ⁾) − KL = ELBO + (L − 1) E_q[log p(x | z)]",
    Kind.MEAN,
    note=WITHOUT,
    as_printed=False,
)
def _eq22_as_printed() -> Sides:
    case, many = vae(), 3
    printed = _sampled_likelihood(case, many, 8000) - case.encoder().kl(case.prior(1))[0]
    return sampled(printed, case.elbo() + (many - 1) * case.expected_log_likelihood())
