r"""Problems of simulation-based inference: prior, simulator, likelihood, exact posterior.

Six of the ten of Lueckmann et al. 2021, "Benchmarking Simulation-Based Inference" (AISTATS,
arXiv 2101.04653, appendix T), with the constants of sbibm 1.1.0. Each has a likelihood p(x | theta)
in closed form, which no method is given: tests and ranks need it.

    gaussian_linear          theta ~ N(0, 0.1 I), x ~ N(theta, 0.1 I), of 10 numbers
    gaussian_linear_uniform  theta uniform on [-1, 1]^10, x ~ N(theta, 0.1 I)
    gaussian_mixture         theta uniform on [-10, 10]^2, x ~ (N(theta, I) + N(theta, 0.01 I)) / 2
    two_moons                theta uniform on [-1, 1]^2, x on a crescent, theta on two
    slcp                     theta uniform on [-3, 3]^5, x is four points of a Gaussian in the plane
    bernoulli_glm            theta ~ N(0, C) of 10 numbers, x = X^T y, y_t ~ Bernoulli(s(X theta)_t)

`sbibm` gives 0.1 in the first two lines as a scale; it is a variance, as in the paper.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from .sbi_priors import Box, Gaussian, Problem, normal, uniform

NORMAL = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)


@dataclass(frozen=True)
class LinearGaussian:
    """theta ~ N(0, v I), x ~ N(theta, v I), so that p(theta | x) = N(x / 2, v / 2 I)."""

    dims: int = 10
    variance: float = 0.1

    @property
    def prior(self) -> Gaussian:
        return Gaussian(torch.eye(self.dims, dtype=torch.float64) / self.variance)

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        return theta + math.sqrt(self.variance) * normal(theta.shape, generator)

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        return _isotropic(x - theta, math.sqrt(self.variance))

    def posterior(self, x: Tensor, count: int, generator: Generator) -> Tensor:
        std = math.sqrt(self.variance / 2)
        return x / 2 + std * normal((count, self.dims), generator)

    def log_evidence(self, x: Tensor) -> Tensor:
        return _isotropic(x, math.sqrt(2 * self.variance))


@dataclass(frozen=True)
class LocationMixture:
    """theta uniform on a box, x ~ mean_k N(theta, std_k^2 I).

    The posterior is the mixture of the N(x, std_k^2 I) inside the box, each of the weight that lies
    inside.
    """

    prior: Box
    stds: tuple[float, ...]

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        which = torch.randint(len(self.stds), (len(theta), 1), generator=generator)
        std = torch.tensor(self.stds, dtype=torch.float64)[which]
        return theta + std * normal(theta.shape, generator)

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        each = torch.stack([_isotropic(x - theta, std) for std in self.stds])
        return each.logsumexp(0) - math.log(len(self.stds))

    def posterior(self, x: Tensor, count: int, generator: Generator) -> Tensor:
        weights = torch.stack([self._inside(x, std) for std in self.stds])
        which = torch.multinomial(weights, count, replacement=True, generator=generator)
        std = torch.tensor(self.stds, dtype=torch.float64)[which, None]

        low, high = (NORMAL.cdf((end - x) / std) for end in (-self.prior.bound, self.prior.bound))
        place = low + (high - low) * uniform((count, self.prior.dims), generator)
        return x + std * NORMAL.icdf(place)

    def log_evidence(self, x: Tensor) -> Tensor:
        inside = torch.stack([self._inside(x, std) for std in self.stds]).mean(0)
        return inside.log() - self.prior.dims * math.log(2 * self.prior.bound)

    def _inside(self, x: Tensor, std: float) -> Tensor:
        """How much of N(x, std^2 I) lies in the box."""
        b = self.prior.bound
        return (NORMAL.cdf((b - x) / std) - NORMAL.cdf((-b - x) / std)).prod(-1)


@dataclass(frozen=True)
class TwoMoons:
    """x = p + (-|z_0|, z_1), z = theta turned by 45 degrees, p = (r cos a + 0.25, r sin a).

    r ~ N(0.1, 0.01^2), a uniform on [-pi/2, pi/2]. The density of p has the factor 1 / r of polar
    coordinates. The posterior is p turned back, for both signs of z_0, inside the box.
    """

    prior: Box

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        return self._noise(len(theta), generator) + self._mean(theta)

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        u, v = (x - self._mean(theta)).unbind(-1)
        r = torch.hypot(u - 0.25, v)
        density = NORMAL.log_prob((r - 0.1) / 0.01) - math.log(0.01 * math.pi) - r.log()
        return density.masked_fill(u < 0.25, -math.inf)

    def posterior(self, x: Tensor, count: int, generator: Generator) -> Tensor:
        accepted: list[Tensor] = []
        while sum(map(len, accepted)) < count:
            p = self._noise(4 * count, generator)
            sign = 2.0 * torch.randint(2, (len(p),), generator=generator) - 1
            theta, exists = self._back(p, x, sign)
            accepted.append(theta[exists & self.prior.holds(theta)])

        return torch.cat(accepted)[:count]

    def log_evidence(self, x: Tensor) -> Tensor:
        a = (torch.arange(200, dtype=torch.float64) + 0.5) / 200 - 0.5
        r = 0.1 + 0.01 * NORMAL.icdf((torch.arange(20, dtype=torch.float64) + 0.5) / 20)
        radius, angle = (part.flatten() for part in torch.meshgrid(r, math.pi * a, indexing="ij"))
        p = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], -1)

        inside = torch.zeros(x.shape[:-1], dtype=torch.float64)
        for sign in (-1.0, 1.0):
            theta, exists = self._back(p, x[..., None, :], torch.tensor(sign))
            inside += (exists & self.prior.holds(theta)).double().mean(-1)
        return inside.log() + self.prior.log_prob(torch.zeros(2))

    @staticmethod
    def _noise(count: int, generator: Generator) -> Tensor:
        angle = math.pi * (uniform((count,), generator) - 0.5)
        radius = 0.1 + 0.01 * normal((count,), generator)
        return torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], -1)

    @staticmethod
    def _mean(theta: Tensor) -> Tensor:
        first, second = theta.unbind(-1)
        return torch.stack([-(first + second).abs(), second - first], -1) / math.sqrt(2)

    @staticmethod
    def _back(p: Tensor, x: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """theta of p and x, and whether there is one."""
        length, z1 = p[..., 0] - x[..., 0], x[..., 1] - p[..., 1]
        z0 = sign * length
        return torch.stack([z0 - z1, z0 + z1], -1) / math.sqrt(2), length >= 0


@dataclass(frozen=True)
class SimpleLikelihood:
    """Simple likelihood, complex posterior (Papamakarios et al. 2019): four points of
    N((theta_1, theta_2), S), with variances theta_3^4, theta_4^4 and correlation tanh(theta_5).

    1e-6 is added to both variances, as in sbibm.

    Args:
        prior: of theta.
        points: independent observations in an x.
    """

    prior: Box
    points: int = 4

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        a, b, c = self._root(theta)
        first, second = normal((2, len(theta), 4), generator)
        offset = torch.stack([a * first, b * first + c * second], -1)
        return (theta[:, None, :2] + offset).flatten(1)

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        a, b, c = self._root(theta)
        first, second = (x.unflatten(-1, (4, 2)) - theta[..., None, :2]).unbind(-1)
        first = first / a
        eps = torch.stack([first, (second - b * first) / c])
        return (NORMAL.log_prob(eps).sum(0) - a.log() - c.log()).sum(-1)

    @staticmethod
    def _root(theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the Cholesky root ((a, 0), (b, c)) of S, (..., 1)."""
        s1, s2 = theta[..., 2:3].square(), theta[..., 3:4].square()
        a = (s1.square() + 1e-6).sqrt()
        b = theta[..., 4:5].tanh() * s1 * s2 / a
        return a, b, (s2.square() + 1e-6 - b.square()).sqrt()


@dataclass(frozen=True)
class BernoulliModel:
    """A Bernoulli generalized linear model: 100 binary outcomes by white noise, an offset and a
    filter of nine numbers whose second differences are small under the prior.

    x = X^T y holds the sufficient statistics: log p(x | theta) = theta^T x - sum log(1 + exp(X
    theta)) up to a function of x.
    """

    @property
    def prior(self) -> Gaussian:
        size = 9
        D = torch.eye(size).double() - torch.eye(size).double().roll(1, 0).tril(-1)
        F = D @ D + torch.diag((torch.arange(size).double() / size).sqrt())
        offset = torch.full((1, 1), 0.5, dtype=torch.float64)
        return Gaussian(torch.block_diag(offset, F.mT @ F))

    def design(self) -> Tensor:
        """X, (100, 10): ones, and the noise at nine lags; sbibm's, of numpy's seed 42."""
        noise = np.random.RandomState(42).randn(100).astype(np.float32)
        X = torch.ones(100, 10, dtype=torch.float64)
        for lag in range(9):
            X[:, lag + 1] = 0
            X[lag:, lag + 1] = torch.from_numpy(noise[: 100 - lag])
        return X

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        X = self.design()
        p = (theta @ X.mT).sigmoid()
        return (uniform(p.shape, generator) < p).double() @ X

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        softplus = torch.nn.functional.softplus(theta @ self.design().mT)
        return (theta * x).sum(-1) - softplus.sum(-1)


REPORTED: dict[str, Problem] = {
    "two_moons": TwoMoons(Box(2, 1.0)),
    "gaussian_linear": LinearGaussian(),
    "slcp": SimpleLikelihood(Box(5, 3.0)),
}
"""Problems whose figures are reported; no setting may be chosen by them."""
CHOSEN_BY: dict[str, Problem] = {
    "gaussian_mixture": LocationMixture(Box(2, 10.0), (1.0, 0.1)),
    "gaussian_linear_uniform": LocationMixture(Box(10, 1.0), (math.sqrt(0.1),)),
    "bernoulli_glm": BernoulliModel(),
}
"""Problems by which settings are chosen."""
PROBLEMS = REPORTED | CHOSEN_BY


def _isotropic(x: Tensor, std: float) -> Tensor:
    """log N(x; 0, std^2 I)."""
    return NORMAL.log_prob(x / std).sum(-1) - x.shape[-1] * math.log(std)
