r"""Single-step stochastic solvers: Euler-Maruyama, reverse diffusion, DDPM with other variances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..process.coefficients import exp, sqrt
from ..process.kernel import added_noise_std, step_stds
from ..process.path import Level
from .single_step import step_by_step
from .solver import Solver, Update


def euler_maruyama(eta: float = 1.0) -> Solver:
    """Euler-Maruyama in t on the reverse SDE (Song et al. 2021).

        dx = (f x - (1 + eta^2)/2 g^2 score) dt + eta g dw

    eta = 1 is the reverse SDE, 0 the probability flow, a larger eta adds more noise. ValueError for
    a negative eta.
    """
    _check_eta(eta)

    def step(here: Level, to: Level) -> list[Update]:
        dt = here.t - to.t
        # g^2 score = -g^2 eps / sigma
        pull = dt * (1 + eta * eta) / 2 * here.diffusion / here.sigma
        noise = (eta * sqrt(dt * here.diffusion),) if eta else ()
        return [Update(to, state=1 - dt * here.drift, eps=-pull, noise=noise)]

    name = "euler_maruyama" if eta == 1 else f"euler_maruyama:{eta:g}"
    return Solver(name, step_by_step(step), stochastic=eta > 0)


def reverse_diffusion(eta: float = 1.0) -> Solver:
    """The reverse-diffusion predictor for x_t = a x_s + b z (Song et al. 2021, appendix E).

        x_s = (2 - a) x_t + (1 + eta^2)/2 b^2 score + eta b z

    eta = 1 is the published predictor on `vp` and `ve`, 0 its probability flow. On the other
    scalings a and b are those of the exact kernel too. ValueError for a negative eta.
    """
    _check_eta(eta)

    def step(here: Level, to: Level) -> list[Update]:
        b = added_noise_std(here.sigma, to, here)
        pull = (1 + eta * eta) / 2 * b * b / here.sigma  # score = -eps / sigma
        noise = (eta * b,) if eta else ()
        return [Update(to, state=2 - here.alpha / to.alpha, eps=-pull, noise=noise)]

    name = "reverse_diffusion" if eta == 1 else f"reverse_diffusion:{eta:g}"
    return Solver(name, step_by_step(step), stochastic=eta > 0)


def _check_eta(eta: float) -> None:
    if not 0 <= eta < math.inf:
        raise ValueError(
            f"eta={eta}; give a finite number, 0 (deterministic) or more; 1 is the reverse SDE"
        )


def _ddpm_large(here: Level, to: Level) -> Sequence[Update]:
    """The mean of q(x_s | x_t, x0) and the variance of q(x_t | x_s), which is DDPM's beta."""
    shrinkage = exp(here.log_snr_minus(to) / 2)
    noise = added_noise_std(here.sigma, to, here)
    return [Update(to, x0=to.alpha, eps=to.sigma * shrinkage, noise=(noise,))]


def _ddpm_learned(here: Level, to: Level) -> Sequence[Update]:
    """The same mean, and the learned variance between that of ddpm and that of ddpm_large."""
    (update,) = _ddpm_large(here, to)
    return [replace(update, noise=(), std_range=step_stds(to, here))]


DDPM_LARGE = Solver("ddpm_large", step_by_step(_ddpm_large), stochastic=True)
"""sigma^2 = beta (Ho et al. 2020, section 3.2)."""

DDPM_LEARNED = Solver("ddpm_learned", step_by_step(_ddpm_learned), stochastic=True)
"""For models with a learned variance, `models.LearnedVariance` (Nichol & Dhariwal 2021)."""
