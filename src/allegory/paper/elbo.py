"""Equations 1-16: the evidence lower bound, on a linear-Gaussian model with one latent."""

from __future__ import annotations

import torch

from .cases import vae
from .check import Kind, Sides, bound, same, sampled, section
from .rules import draws, hermite, line, normal

SECTION = section("elbo", "Evidence lower bound", 1, 16)


@SECTION.equation(1, "p(x) = ∫ p(x, z) dz", Kind.EXACT)
def _eq1() -> Sides:
    case, (z, dz) = vae(), line()
    return same((case.log_joint(z).exp() * dz).sum(), case.log_evidence().exp())


@SECTION.equation(2, "p(x) = p(x, z) / p(z | x) at every z", Kind.SAMPLE)
def _eq2() -> Sides:
    case, z = vae(), 2 * draws(30, 50, 1)
    return same(case.log_joint(z) - case.posterior(50).log_prob(z), case.log_evidence())


@SECTION.equation(3, "ELBO := E_q[log p(x, z) − log q(z | x)]", Kind.DEFINITION)
def _eq3() -> Sides:
    case, count = vae(), 20_000
    q = case.encoder(count)
    z = q.draw(draws(31, count, 1))

    return sampled(case.log_joint(z) - q.log_prob(z), case.elbo())


@SECTION.equation(4, "log p(x) ≥ ELBO, with equality iff q(z | x) = p(z | x)", Kind.BOUND)
def _eq4() -> Sides:
    case = vae()
    return bound(case.log_evidence(), case.elbo(), case.encoder().kl(case.posterior())[0])


@SECTION.equation(4, "log p(x) = ELBO where q(z | x) = p(z | x)", Kind.EXACT)
def _eq4_tight() -> Sides:
    exact = vae().posterior()
    return same(vae(float(exact.mean), float(exact.std)).elbo(), vae().log_evidence())


@SECTION.equation(5, "log p(x) = log ∫ p(x, z) dz", Kind.EXACT)
def _eq5() -> Sides:
    case, (z, dz) = vae(), line()
    return same((case.log_joint(z).exp() * dz).sum().log(), case.log_evidence())


@SECTION.equation(6, "= log ∫ p(x, z) q(z | x) / q(z | x) dz", Kind.EXACT)
def _eq6() -> Sides:
    case, (z, dz) = vae(), line(6.0)
    ratio = (case.log_joint(z) - case.encoder(len(z)).log_prob(z)).exp()
    density = normal(z[:, 0], case.mean, case.std**2).exp()

    return same((ratio * density * dz).sum().log(), case.log_evidence())


@SECTION.equation(
    7, "= log E_q[p(x, z) / q(z | x)]", Kind.MEAN, note="The mean is compared before the logarithm."
)
def _eq7() -> Sides:
    case, count = vae(std=1.0), 40_000  # wide enough for weights of small variance
    q = case.encoder(count)
    z = q.draw(draws(32, count, 1))

    return sampled((case.log_joint(z) - q.log_prob(z)).exp(), case.log_evidence().exp())


@SECTION.equation(8, "≥ E_q[log (p(x, z) / q(z | x))] (Jensen)", Kind.BOUND)
def _eq8() -> Sides:
    case = vae()
    z, weight = hermite(case.mean, case.std)
    log_ratio = case.log_joint(z) - case.encoder(len(z)).log_prob(z)

    return bound(
        (weight * log_ratio.exp()).sum().log(),
        weight @ log_ratio,
        case.encoder().kl(case.posterior())[0],
    )


@SECTION.equation(9, "log p(x) = log p(x) ∫ q(z | x) dz", Kind.EXACT)
def _eq9() -> Sides:
    case, (z, dz) = vae(), line()

    return same(
        case.log_evidence() * (case.encoder(len(z)).log_prob(z).exp() * dz).sum(),
        case.log_evidence(),
    )


@SECTION.equation(10, "= ∫ q(z | x) log p(x) dz", Kind.EXACT)
def _eq10() -> Sides:
    case, (z, dz) = vae(), line()
    evidence = (case.log_joint(z).exp() * dz).sum().log()  # by eq. 5
    return same((case.encoder(len(z)).log_prob(z).exp() * evidence * dz).sum(), case.log_evidence())


@SECTION.equation(11, "= E_q[log p(x)], whatever the draw of z", Kind.SAMPLE)
def _eq11() -> Sides:
    case = vae()
    # For each draw of z, p(x) by quadrature around that draw; the centre does not change p(x).
    centre = case.encoder(20).draw(draws(33, 20, 1))
    z, dz = line()
    evidence = torch.stack([(case.log_joint(z + c).exp() * dz).sum().log() for c in centre])

    return same(evidence, case.log_evidence())


@SECTION.equation(12, "= E_q[log (p(x, z) / p(z | x))], without variance", Kind.SAMPLE)
def _eq12() -> Sides:
    case = vae()
    z = case.encoder(50).draw(draws(34, 50, 1))
    return same(case.log_joint(z) - case.posterior(50).log_prob(z), case.log_evidence())


@SECTION.equation(13, "= E_q[log (p(x, z) q(z | x) / (p(z | x) q(z | x)))]", Kind.SAMPLE)
def _eq13() -> Sides:
    case = vae()
    q, p = case.encoder(50), case.posterior(50)
    z = q.draw(draws(35, 50, 1))
    above = case.log_joint(z) + q.log_prob(z)

    return same(
        above - p.log_prob(z) - normal(z[:, 0], case.mean, case.std**2), case.log_evidence()
    )


@SECTION.equation(14, "= E_q[log (p(x, z) / q(z | x))] + E_q[log (q(z | x) / p(z | x))]", Kind.MEAN)
def _eq14() -> Sides:
    case = vae()
    z, weight = hermite(case.mean, case.std)
    first = weight @ (case.log_joint(z) - normal(z[:, 0], case.mean, case.std**2))
    second = weight @ (case.encoder(len(z)).log_prob(z) - case.posterior(len(z)).log_prob(z))

    return same(first + second, case.log_evidence())


@SECTION.equation(15, "= ELBO + KL(q(z | x) ‖ p(z | x))", Kind.EXACT)
def _eq15() -> Sides:
    case = vae()
    return same(case.elbo() + case.encoder().kl(case.posterior())[0], case.log_evidence())


@SECTION.equation(16, "≥ ELBO, since KL ≥ 0, for a hundred q(z | x)", Kind.BOUND)
def _eq16() -> Sides:
    cases = [vae(float(m), float(s.exp())) for m, s in draws(36, 100, 2)]
    elbo = torch.tensor([case.elbo() for case in cases], dtype=torch.float64)
    gap = torch.cat([case.encoder().kl(case.posterior()) for case in cases])

    return bound(cases[0].log_evidence().expand(100), elbo, gap)
