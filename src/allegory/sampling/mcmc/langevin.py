r"""Markov kernels: Langevin dynamics, MALA and Hamiltonian Monte Carlo.

    Langevin      x' = x + c grad log p(x) + sqrt(2 c) z                        Luo 2022, eq. 158

is exact as c -> 0 only: on N(0, s^2) its own variance is s^2/(1 - c/(2 s^2)). Accept x' as a
proposal by its weight (Metropolis et al. 1953) and it is exact for any c (MALA, Roberts & Tweedie
1996). It is also one leapfrog step of Hamiltonian dynamics with h = sqrt(2 c) and the momentum z;
more of them make a longer proposal of the same kind (Duane et al. 1987; Neal 2011):

    p += h/2 grad log p(x)     x += h p     p += h/2 grad log p(x)
    accept with probability min(1, exp(log p(x') - |p'|^2/2 - log p(x) + |p|^2/2))

So MALA is HMC with one leapfrog step, and both need log p, up to a constant.

**The step is counted in the density's own scale**, which at a Level is sigma: c = step sigma^2, h =
step sigma. No density p(x_t) is narrower than its noise, so one step serves all Levels. The rules
of the literature in these units:

    NCSN    c = epsilon sigma^2/(2 sigma_L^2) Song & Ermon 2019, alg. 1 step = epsilon/(2 sigma_L^2)
    NCSNv2  c = epsilon sigma^2/sigma_L^2     Song & Ermon 2020, alg. 1 step = epsilon/sigma_L^2
    PC      c = 2 (r |z|/|score|)^2           Song et al. 2021, alg. 4  step = 2 r^2

In the last, |z| is about sqrt(d) and the score of q(x_t | x0) about sqrt(d)/sigma, so c is about 2
r^2 sigma^2, which is what `Langevin` takes. The published code takes means of the norms over the
batch: a result that changes with the batch, here `BatchLangevin`, for reproduction. Norms of a
single item are no alternative: in few dimensions the score is near 0 at a mode, where the step
would have no bound and the chain would leave its density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...numerics.broadcast import expand_like
from ...process.coefficients import weighted_sum
from .target import Density, Draw, Transition


@dataclass(frozen=True)
class Langevin:
    """Unadjusted Langevin steps with c = step scale^2 (Luo 2022, eq. 158).

    Args:
        step: c in units of the density's scale, squared.
        count: number of steps.

    Raises:
        ValueError: for a step of 0 or less, or a count below 1.
    """

    step: float
    count: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.count)

    def __call__(self, density: Density, x: Float[Tensor, "b *shape"], draw: Draw) -> Transition:
        """The items `x` after the kernel of `density`, with noise from `draw`."""
        c = self.step * density.scale**2
        noise = math.sqrt(2 * c)
        for _ in range(self.count):
            x = weighted_sum((1.0, x), (c, density.score(x)), (noise, draw(x)))
        return Transition(x)


@dataclass(frozen=True)
class BatchLangevin:
    """Langevin steps with c = 2 (r mean|z|/mean|score|)^2, means over the batch, as published.

    An item depends on its batch, and so does its sample: this is for reproduction only (Song et al.
    2021, algorithms 4 and 5, without the factor 1 - beta of the latter).

    Args:
        snr: r.
        count: number of steps.

    Raises:
        ValueError: for an r of 0 or less, or a count below 1.
    """

    snr: float = 0.16
    count: int = 1

    def __post_init__(self) -> None:
        _check(self.snr, self.count)

    def __call__(self, density: Density, x: Float[Tensor, "b *shape"], draw: Draw) -> Transition:
        """The items `x` after the kernel of `density`, with noise from `draw`."""
        for _ in range(self.count):
            score = density.score(x)
            z = draw(x)
            c = 2 * (self.snr * _mean_norm(z) / _mean_norm(score)).square()
            x = x + c * score + (2 * c).sqrt() * z
        return Transition(x)


@dataclass(frozen=True)
class Hamiltonian:
    """Hamiltonian Monte Carlo: leapfrog steps, accepted by Metropolis' rule (Neal 2011).

    Exact for every step; one that is too long has its proposals rejected. It needs log p:
    ValueError for a density without.

    Args:
        step: length h of a leapfrog step, in units of the density's scale.
        leapfrogs: leapfrog steps per proposal.
        count: number of proposals.

    Raises:
        ValueError: for a step of 0 or less, or a count below 1.
    """

    step: float
    leapfrogs: int = 5
    count: int = 1

    def __post_init__(self) -> None:
        _check(self.step, self.count)
        if self.leapfrogs < 1:
            raise ValueError(f"leapfrogs={self.leapfrogs}; give at least 1, which is MALA")

    def __call__(self, density: Density, x: Float[Tensor, "b *shape"], draw: Draw) -> Transition:
        """The items `x` after the kernel of `density`, with noise from `draw`."""
        score = density.score(x)
        log_p = density.log_density(x)
        accepted = torch.zeros_like(log_p)

        for _ in range(self.count):
            momentum = draw(x)
            proposal, new_score, end = self._leapfrog(density, x, score, momentum)
            new_log_p = density.log_density(proposal)
            log_ratio = new_log_p - _kinetic(end) - log_p + _kinetic(momentum)

            # A NaN log-ratio, of a proposal that diverged, compares as False: a rejection.
            accept = _log_uniform(draw, x) < log_ratio
            x = _where(accept, proposal, x)
            score = _where(accept, new_score, score)
            log_p = torch.where(accept, new_log_p, log_p)
            accepted += accept.to(accepted) / self.count
        return Transition(x, accepted)

    def _leapfrog(
        self, density: Density, x: Tensor, score: Tensor, momentum: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The end of the leapfrog steps: position, score there, momentum."""
        h = self.step * density.scale
        momentum = momentum + h / 2 * score
        for i in range(self.leapfrogs):
            x = x + h * momentum
            score = density.score(x)
            momentum = momentum + (h if i + 1 < self.leapfrogs else h / 2) * score
        return x, score, momentum


def mala(step: float, count: int = 1) -> Hamiltonian:
    """MALA: `count` Langevin proposals with c = step scale^2 (Roberts & Tweedie 1996)."""
    _check(step, count)
    return Hamiltonian(math.sqrt(2 * step), 1, count)


def _check(step: float, count: int) -> None:
    if not 0 < step < math.inf:
        raise ValueError(
            f"step={step}; give a finite number above 0, in units of the density's scale"
        )
    if count < 1 or count != int(count):
        raise ValueError(f"count={count}; give a whole number, at least 1")


def _mean_norm(x: Float[Tensor, "b *shape"]) -> Float[Tensor, ""]:
    norms: Tensor = x.flatten(1).norm(dim=1)
    return norms.mean()


def _kinetic(momentum: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    return momentum.flatten(1).square().sum(1) / 2


def _log_uniform(draw: Draw, x: Tensor) -> Float[Tensor, " b"]:
    """log u, one u per item, uniform in (0, 1): u = Phi(z) of a normal draw."""
    log_u: Tensor = torch.special.log_ndtr(draw(x.new_empty(len(x), 1)))
    return log_u[:, 0]


def _where(chosen: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Item by item a where chosen, else b."""
    return torch.where(expand_like(chosen, b), a, b)
