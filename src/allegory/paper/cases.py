r"""The exact cases on which the equations are executed: a VAE, a diffusion chain, one step of it.

Each case holds the library's objects (Path, Level, kernels) and the paper's symbols (alpha_t and
A_t = prod_{i <= t} alpha_i), which are computed here from the betas alone. Every check makes its
case anew, so that a changed formula in the library shows in the next check.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal

from ..process.betas import Betas
from ..process.kernel import Gaussian, marginal, posterior, transition
from ..process.path import Level, Path
from ..process.prediction import Prediction
from .dense import Dense, Ladder, LadderLayer
from .rules import draws

BETAS = (0.15, 0.3, 0.2, 0.45)


def path_of(betas: tuple[float, ...] = BETAS) -> tuple[Path, tuple[Level, ...]]:
    """The library's Path for a DDPM array `betas`, and its Levels 0 (clean data) to T."""
    path = Path(Betas(betas), scaling="vp")
    times = torch.arange(len(betas), dtype=torch.float64) / (len(betas) - 1)
    return path, (path.clean, *path.levels(times))


@dataclass(frozen=True, eq=False)
class Chain:
    """A diffusion chain of T steps, with p(x_{t-1} | x_t) = N(a_t x_t + b_t, s_t^2 I).

    Args:
        path: the library's path.
        levels: its Levels 0 to T.
        alpha: alpha_t for t = 0..T, with alpha_0 = 1.
        A: A_t, the product of alpha_1..alpha_t, with A_0 = 1.
        x0: the data, (1, d).
        reverse: the reverse model, entry t - 1 for p(x_{t-1} | x_t).
    """

    path: Path
    levels: tuple[Level, ...]
    alpha: tuple[float, ...]
    A: tuple[float, ...]
    x0: Float[Tensor, "1 d"]
    reverse: tuple[LadderLayer, ...]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.levels) - 1

    def forward(self, t: int, x: Float[Tensor, "n d"]) -> Gaussian:
        """The library's q(x_t | x_{t-1}) at x_{t-1} = x."""
        return transition(x, self.levels[t - 1], self.levels[t])

    def marginal(self, t: int, count: int = 1) -> Gaussian:
        """The library's q(x_t | x_0), `count` times."""
        return marginal(self.x0.expand(count, -1), self.levels[t])

    def posterior(self, t: int, x_t: Float[Tensor, "n d"]) -> Gaussian:
        """The library's q(x_{t-1} | x_t, x_0)."""
        prediction = Prediction.solve("x0", self.x0.expand(len(x_t), -1), x_t, self.levels[t])
        return posterior(prediction, self.levels[t - 1])

    def model(self, t: int, x_t: Float[Tensor, "n d"]) -> Gaussian:
        """p(x_{t-1} | x_t)."""
        return self.reverse[t - 1].given(x_t)

    def prior(self, count: int) -> Gaussian:
        """The library's p(x_T), `count` times."""
        return Gaussian(
            torch.zeros(count, self.x0.shape[1], dtype=torch.float64), self.path.prior_std
        )

    def trajectory(self, noise: Float[Tensor, "n t d"]) -> list[Float[Tensor, "n d"]]:
        """x_0, x_1, ..., x_T by the library's forward steps; step t uses noise[:, t - 1]."""
        xs = [self.x0.expand(len(noise), -1)]
        for t in range(1, self.steps + 1):
            xs.append(self.forward(t, xs[-1]).draw(noise[:, t - 1]))

        return xs

    def dense(self) -> Ladder:
        """The same chain in the paper's symbols, as joint Gaussians."""
        still = torch.zeros_like(self.x0[0])
        up = tuple(LadderLayer(math.sqrt(a), still, math.sqrt(1 - a)) for a in self.alpha[1:])
        return Ladder(self.x0, up, self.reverse)

    def q(self, *index: int) -> Dense:
        """q(x_i, x_j, ... | x_0) for the steps `index`, in the paper's symbols.

        Cov(x_s, x_t) = sqrt(A_t/A_s) (1 - A_s) for s <= t, by eq. 68.
        """
        roots = torch.tensor([math.sqrt(self.A[i]) for i in index], dtype=torch.float64)
        cov = [
            [
                math.sqrt(self.A[max(i, j)] / self.A[min(i, j)]) * (1 - self.A[min(i, j)])
                for j in index
            ]
            for i in index
        ]

        return Dense(roots[:, None] * self.x0, torch.tensor(cov, dtype=torch.float64))


def chain(steps: int = 4, dims: int = 2, sign: float = 1.0) -> Chain:
    """A chain with arbitrary numbers.

    Args:
        steps: T, at most 4.
        dims: d, the numbers per item.
        sign: multiplies the gains a_t of the reverse model.
    """
    path, levels = path_of()
    alpha = (1.0, *(1 - beta for beta in BETAS))
    bars = [1.0]
    for a in alpha[1:]:
        bars.append(bars[-1] * a)
    shifts = 0.3 * draws(5, 4, dims)
    gains, widths = (0.9, 0.7, 0.8, 0.6), (0.5, 0.6, 0.55, 0.7)
    reverse = tuple(
        LadderLayer(sign * g, b, s) for g, b, s in zip(gains, shifts, widths, strict=True)
    )

    return Chain(
        path,
        levels[: steps + 1],
        alpha[: steps + 1],
        tuple(bars[: steps + 1]),
        draws(4, 1, dims),
        reverse[:steps],
    )


@dataclass(frozen=True, eq=False)
class Step:
    """One reverse step from t to t - 1 >= 1 for n items, with the truth and a wrong prediction.

    Args:
        t, s: the Levels of steps t and t - 1.
        a, A, B: alpha_t, A_t and A_{t-1}.
        x0, eps: the truth, (n, d).
        guess: the prediction of x0, eps or the score, as the check reads it, (n, d).
    """

    t: Level
    s: Level
    a: float
    A: float
    B: float
    x0: Float[Tensor, "n d"]
    eps: Float[Tensor, "n d"]
    guess: Float[Tensor, "n d"]

    @property
    def x_t(self) -> Float[Tensor, "n d"]:
        """sqrt(A_t) x_0 + sqrt(1 - A_t) eps, in the paper's symbols."""
        return math.sqrt(self.A) * self.x0 + math.sqrt(1 - self.A) * self.eps

    @property
    def score(self) -> Float[Tensor, "n d"]:
        """grad log q(x_t | x_0), in the paper's symbols."""
        return (math.sqrt(self.A) * self.x0 - self.x_t) / (1 - self.A)

    @property
    def variance(self) -> float:
        """sigma_q^2(t) of eq. 85."""
        return (1 - self.a) * (1 - self.B) / (1 - self.A)

    def mean(self, x0: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """mu_q(x_t, x0) of eq. 93, in the paper's symbols."""
        weighted = (
            math.sqrt(self.a) * (1 - self.B) * self.x_t + math.sqrt(self.B) * (1 - self.a) * x0
        )

        return weighted / (1 - self.A)

    def truth(self) -> Gaussian:
        """The library's q(x_{t-1} | x_t, x_0)."""
        return posterior(Prediction.of(self.x0, self.eps, self.t), self.s)

    def prediction(self, target: str) -> Gaussian:
        """The library's p(x_{t-1} | x_t), with the guess as this target."""
        return posterior(Prediction.solve(target, self.guess, self.x_t, self.t), self.s)

    def kl(self, target: str) -> Float[Tensor, " n"]:
        """The library's KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), the guess as this target."""
        return self.truth().kl(self.prediction(target))


def step(t: int = 3) -> Step:
    """Step t of the chain."""
    whole = chain()
    x0, eps, guess = draws(6, 3, 5, 3)

    return Step(
        whole.levels[t],
        whole.levels[t - 1],
        whole.alpha[t],
        whole.A[t],
        whole.A[t - 1],
        x0,
        eps,
        guess,
    )


@dataclass(frozen=True, eq=False)
class VAE:
    """x = w z + c + s eps with z ~ N(0, 1), and an encoder that is not the posterior.

    Args:
        w, c, s: gain (d,), shift (d,) and standard deviation of the decoder.
        x: the data, (1, d).
        mean, std: of q(z | x).
    """

    w: Float[Tensor, " d"]
    c: Float[Tensor, " d"]
    s: float
    x: Float[Tensor, "1 d"]
    mean: float
    std: float

    def encoder(self, count: int = 1) -> Gaussian:
        """q(z | x), `count` times."""
        return Gaussian(torch.full((count, 1), self.mean, dtype=torch.float64), self.std)

    def prior(self, count: int) -> Gaussian:
        """p(z), `count` times."""
        return Gaussian(torch.zeros(count, 1, dtype=torch.float64), 1.0)

    def decoder(self, z: Float[Tensor, "n 1"]) -> Gaussian:
        """p(x | z)."""
        return Gaussian(self.w * z + self.c, self.s)

    def log_likelihood(self, z: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """log p(x | z)."""
        return self.decoder(z).log_prob(self.x.expand(len(z), -1))

    def log_joint(self, z: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """log p(x, z) = log p(x | z) + log p(z)."""
        return self.log_likelihood(z) + self.prior(len(z)).log_prob(z)

    def posterior(self, count: int = 1) -> Gaussian:
        """p(z | x), `count` times, by conjugacy."""
        precision = 1 + float(self.w @ self.w) / self.s**2
        mean = float((self.x[0] - self.c) @ self.w) / self.s**2 / precision
        return Gaussian(torch.full((count, 1), mean, dtype=torch.float64), precision**-0.5)

    def log_evidence(self) -> Tensor:
        """log p(x): x ~ N(c, w w^T + s^2 I)."""
        cov = self.w[:, None] * self.w + self.s**2 * torch.eye(len(self.w), dtype=torch.float64)
        value: Tensor = MultivariateNormal(self.c, cov).log_prob(self.x[0])
        return value

    def expected_log_likelihood(self) -> float:
        """E_q[log p(x | z)], by moments."""
        missed = self.x[0] - self.c - self.w * self.mean
        squared = float(missed @ missed) + float(self.w @ self.w) * self.std**2
        return -0.5 * (len(self.w) * math.log(2 * math.pi * self.s**2) + squared / self.s**2)

    def elbo(self) -> float:
        """E_q[log p(x, z) - log q(z | x)], by moments."""
        prior = -0.5 * (math.log(2 * math.pi) + self.mean**2 + self.std**2)
        entropy = 0.5 * (1 + math.log(2 * math.pi * self.std**2))
        return self.expected_log_likelihood() + prior + entropy


def vae(mean: float = 0.8, std: float = 0.6) -> VAE:
    """The VAE with q(z | x) = N(mean, std^2)."""
    w, c, x = draws(1, 3, 2)
    return VAE(w, c, 0.7, x[None], mean, std)
