"""Equations 23-29: the Markovian hierarchical autoencoder, linear and Gaussian.

Its factors are compared with its joint Gaussian law.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..likelihood import (
    GaussianObservation,
    Inference,
    LatentChain,
    infer_bottom_up,
    log_mean_weight,
)
from .check import Kind, Sides, bound, same, sampled, section
from .dense import Ladder, ladder
from .rules import cubature, draws, in_turn, line, normal

SECTION = section("hierarchy", "Markovian hierarchical autoencoder", 23, 29)


def _draw_latents(case: Ladder, noise: Float[Tensor, "n t d"]) -> list[Float[Tensor, "n d"]]:
    """x, z_1, ..., z_T by the encoders."""
    z = [case.x.expand(len(noise), -1)]
    for t, layer in enumerate(case.up):
        z.append(layer.given(z[-1]).draw(noise[:, t]))

    return z


def _log_q(case: Ladder, z: list[Tensor]) -> Float[Tensor, " n"]:
    """Eq. 24, factor by factor, with the library's Gaussians."""
    terms = [layer.given(z[t]).log_prob(z[t + 1]) for t, layer in enumerate(case.up)]
    return torch.stack(terms).sum(0)


def _log_p(case: Ladder, z: list[Tensor]) -> Float[Tensor, " n"]:
    """Eq. 23, factor by factor, with the library's Gaussians."""
    terms = [layer.given(z[t + 1]).log_prob(z[t]) for t, layer in enumerate(case.down)]
    return torch.stack(terms).sum(0) + _top(z[-1])


def _top(z: Tensor) -> Float[Tensor, " n"]:
    """log p(z_T)."""
    return normal(z, 0.0, 1.0).sum(1)


@SECTION.equation(23, "p(x, z_1:T) = p(z_T) p(x | z_1) ∏_{t≥2} p(z_{t−1} | z_t)", Kind.SAMPLE)
def _eq23() -> Sides:
    case = ladder(3, 2)
    z = _draw_latents(case, draws(50, 30, 3, 2))
    return same(_log_p(case, z), case.p().log_prob(torch.stack(z, 1)))


@SECTION.equation(23, "its case T = 1 is the autoencoder, p(x, z) = p(z) p(x | z)", Kind.SAMPLE)
def _eq23_one() -> Sides:
    case = ladder(1, 2)
    z = _draw_latents(case, draws(51, 30, 1, 2))
    return same(_log_p(case, z), case.p().log_prob(torch.stack(z, 1)))


@SECTION.equation(24, "q(z_1:T | x) = q(z_1 | x) ∏_{t≥2} q(z_t | z_{t−1})", Kind.SAMPLE)
def _eq24() -> Sides:
    case = ladder(3, 2)
    z = _draw_latents(case, draws(52, 30, 3, 2))
    return same(_log_q(case, z), case.q().log_prob(torch.stack(z[1:], 1)))


def _plane(case: Ladder) -> tuple[list[Tensor], float]:
    """All pairs (z_1, z_2) of a square, behind x, and the area of a cell."""
    points, width = line(7.0, 351)
    z1, z2 = torch.cartesian_prod(points[:, 0], points[:, 0]).unbind(1)
    return [case.x.expand(len(z1), -1), z1[:, None], z2[:, None]], width**2


@SECTION.equation(25, "log p(x) = log ∫ p(x, z_1:T) dz_1:T", Kind.EXACT)
def _eq25() -> Sides:
    case = ladder(2, 1)
    z, area = _plane(case)
    return same((_log_p(case, z).exp() * area).sum().log(), case.log_evidence())


@SECTION.equation(26, "= log ∫ p(x, z_1:T) q(z_1:T | x) / q(z_1:T | x) dz_1:T", Kind.EXACT)
def _eq26() -> Sides:
    case = ladder(2, 1)
    z, area = _plane(case)
    ratio, q = _log_p(case, z) - _log_q(case, z), case.q().log_prob(torch.stack(z[1:], 1))

    return same(((ratio + q).exp() * area).sum().log(), case.log_evidence())


def _wide() -> Ladder:
    """Encoders with importance weights of finite variance: 2 precision(p) > precision(q)."""
    case = ladder(2, 1)
    return replace(case, up=tuple(replace(layer, std=1.2) for layer in case.up))


@SECTION.equation(
    27, "= log E_q[p(x, z_1:T) / q(z_1:T | x)]", Kind.MEAN, note="Compared before the logarithm."
)
def _eq27() -> Sides:
    case = _wide()
    z = _draw_latents(case, draws(53, 40_000, 2, 1))
    return sampled((_log_p(case, z) - _log_q(case, z)).exp(), case.log_evidence().exp())


def _library(case: Ladder, noise: Float[Tensor, "n t d"]) -> Inference:
    """The library's latents of a hierarchy, drawn bottom-up."""
    up, down = [layer.given for layer in case.up], [layer.given for layer in case.down]

    chain = LatentChain(up, down[1:], lambda z: GaussianObservation(down[0](z)))
    return infer_bottom_up(chain, case.x.expand(len(noise), -1), in_turn(noise))


@SECTION.equation(
    27, "the library's importance-weighted bound, before its logarithm, is p(x) in mean", Kind.MEAN
)
def _eq27_library() -> Sides:
    case = _wide()
    weights = _library(case, draws(55, 40_000, 2, 1)).log_weight.reshape(8, 5000)
    return sampled(log_mean_weight(weights).exp(), case.log_evidence().exp())


@SECTION.equation(
    28, "≥ E_q[log (p(x, z_1:T) / q(z_1:T | x))]; the gap is KL(q ‖ p(z_1:T | x))", Kind.BOUND
)
def _eq28() -> Sides:
    case = ladder(3, 2)
    z = _draw_latents(case, cubature(3, 2))
    return bound(case.log_evidence(), (_log_p(case, z) - _log_q(case, z)).mean(), case.gap())


@SECTION.equation(
    29,
    "= E_q[log (p(z_T) p(x | z_1) ∏ p(z_{t−1} | z_t) / (q(z_1 | x) ∏ q(z_t | z_{t−1})))]",
    Kind.SAMPLE,
)
def _eq29() -> Sides:
    case = ladder(3, 2)
    z = _draw_latents(case, draws(54, 30, 3, 2))
    return same(_log_p(case, z) - _log_q(case, z), case.log_ratio(torch.stack(z[1:], 1)))


@SECTION.equation(28, "the library's bound of a hierarchy is this one", Kind.MEAN)
def _eq28_library() -> Sides:
    case = ladder(3, 2)
    return same(_library(case, cubature(3, 2)).bound.total.mean(), case.elbo())


@SECTION.equation(29, "the library's log-weights are this log-ratio", Kind.SAMPLE)
def _eq29_library() -> Sides:
    case = ladder(3, 2)
    found = _library(case, draws(56, 30, 3, 2))

    return same(
        found.log_weight, case.log_ratio(torch.stack([latent.z for latent in found.latents], 1))
    )
