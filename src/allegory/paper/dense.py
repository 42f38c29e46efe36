r"""Linear-Gaussian hierarchies as one joint Gaussian, the reference of the chain's equations.

    q(z_t | z_{t-1}) = N(c_t z_{t-1} + f_t, r_t^2 I)
    p(z_{t-1} | z_t) = N(a_t z_t + b_t, s_t^2 I)

with z_0 = x and p(z_T) = N(0, I). Coordinates are independent, so a joint law is a mean (k, d) and
one covariance (k, k) for the k variables of every coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from ..process.kernel import Gaussian
from .rules import draws


@dataclass(frozen=True, eq=False)
class Dense:
    """The joint law of k Gaussian variables of d coordinates.

    Args:
        mean: (k, d).
        cov: covariance (k, k), the same in every coordinate.
    """

    mean: Float[Tensor, "k d"]
    cov: Float[Tensor, "k k"]

    @property
    def law(self) -> MultivariateNormal:
        """The law of each coordinate as a torch distribution."""
        return MultivariateNormal(self.mean.T, self.cov)

    def log_prob(self, x: Float[Tensor, "n k d"]) -> Float[Tensor, " n"]:
        """log density of each item x, in nats."""
        per_coordinate: Tensor = self.law.log_prob(x.transpose(1, 2))
        return per_coordinate.sum(1)

    def expected_log_prob(self, under: Dense) -> Tensor:
        """E[log_prob(x)] for x from the joint law `under`, by moments."""
        lost = torch.trace(torch.linalg.solve(self.cov, under.cov)) * self.mean.shape[1] / 2
        return self.log_prob(under.mean[None])[0] - lost

    def kl(self, other: Dense) -> Tensor:
        """KL(self || other)."""
        value: Tensor = kl_divergence(self.law, other.law).sum()
        return value

    def some(self, *index: int) -> Dense:
        """The marginal law of the variables `index`."""
        chosen = list(index)
        return Dense(self.mean[chosen], self.cov[chosen][:, chosen])

    def given(self, first: Float[Tensor, "1 d"]) -> Dense:
        """The law of the other variables given the value of the first."""
        gain = self.cov[1:, :1] / self.cov[0, 0]

        return Dense(
            self.mean[1:] + gain * (first - self.mean[:1]),
            self.cov[1:, 1:] - gain @ self.cov[:1, 1:],
        )

    def points(self, noise: Float[Tensor, "n k d"]) -> Float[Tensor, "n k d"]:
        """The draws of the law made of this standard-normal noise."""
        root: Tensor = torch.linalg.cholesky(self.cov)
        return torch.einsum("ij,njd->nid", root, noise) + self.mean


@dataclass(frozen=True, eq=False)
class LadderLayer:
    """The conditional law N(gain x + shift, std^2 I).

    Args:
        gain: multiplies x.
        shift: (d,).
        std: standard deviation.
    """

    gain: float
    shift: Float[Tensor, " d"]
    std: float

    def given(self, x: Float[Tensor, "n d"]) -> Gaussian:
        """The library's Gaussian at each x."""
        return Gaussian(self.gain * x + self.shift, self.std)


def stack(start: Dense, layers: tuple[LadderLayer, ...]) -> Dense:
    """The joint law of a first variable, of law `start`, and of those that the layers add."""
    mean, cov = start.mean, start.cov
    for layer in layers:
        cross = layer.gain * cov[-1:]
        corner = (layer.gain**2 * cov[-1, -1] + layer.std**2).reshape(1, 1)
        cov = torch.cat([torch.cat([cov, cross.T], 1), torch.cat([cross, corner], 1)])
        mean = torch.cat([mean, layer.gain * mean[-1:] + layer.shift])

    return Dense(mean, cov)


@dataclass(frozen=True, eq=False)
class Ladder:
    """A hierarchy of T latents over the data x.

    Args:
        x: the data, (1, d).
        up: entry t - 1 is q(z_t | z_{t-1}).
        down: entry t - 1 is p(z_{t-1} | z_t).
    """

    x: Float[Tensor, "1 d"]
    up: tuple[LadderLayer, ...]
    down: tuple[LadderLayer, ...]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.up)

    def q(self) -> Dense:
        """q(z_{1:T} | x)."""
        fixed = Dense(self.x, torch.zeros(1, 1, dtype=torch.float64))
        return stack(fixed, self.up).some(*range(1, self.steps + 1))

    def p(self) -> Dense:
        """p(z_{0:T}), the data first."""
        dims = self.x.shape[1]
        top = Dense(
            torch.zeros(1, dims, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        )

        return stack(top, self.down[::-1]).some(*range(self.steps, -1, -1))

    def log_evidence(self) -> Tensor:
        """log p(x)."""
        return self.p().some(0).log_prob(self.x[None])[0]

    def log_ratio(self, latents: Float[Tensor, "n t d"]) -> Float[Tensor, " n"]:
        """log p(x, z_{1:T}) - log q(z_{1:T} | x) at these latents, from the joint laws."""
        whole = torch.cat([self.x.expand(len(latents), 1, -1), latents], 1)
        return self.p().log_prob(whole) - self.q().log_prob(latents)

    def elbo(self) -> Tensor:
        """E_q[log p(x, z_{1:T}) - log q(z_{1:T} | x)], by moments."""
        q, p = self.q(), self.p()
        return self.log_evidence() + p.given(self.x).expected_log_prob(q) - q.expected_log_prob(q)

    def gap(self) -> Tensor:
        """KL(q(z_{1:T} | x) || p(z_{1:T} | x)) = log p(x) - elbo."""
        return self.q().kl(self.p().given(self.x))


def layers(seed: int, steps: int, dims: int) -> tuple[LadderLayer, ...]:
    """Layers with arbitrary gains of both signs, shifts, and standard deviations around 0.7.

    Args:
        seed: of the numbers.
        steps: how many layers.
        dims: d, the numbers per item.
    """
    numbers, shifts = draws(seed, steps, 2), 0.4 * draws(seed + 1, steps, dims)

    return tuple(
        LadderLayer(0.8 * float(n.tanh()), shift, 0.7 + 0.2 * float(w.tanh()))
        for (n, w), shift in zip(numbers, shifts, strict=True)
    )


def ladder(steps: int, dims: int) -> Ladder:
    """A hierarchy of `steps` latents of `dims` numbers, with arbitrary encoders and decoders."""
    return Ladder(draws(3, 1, dims), layers(10, steps, dims), layers(20, steps, dims))
