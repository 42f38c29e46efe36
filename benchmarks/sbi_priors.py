"""What a problem of simulation-based inference is; priors, and random numbers."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=generator)


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator)


class Prior(Protocol):
    """p(theta)."""

    def draw(self, count: int, generator: Generator) -> Tensor:
        """So many parameters, (count, d)."""

    def log_prob(self, theta: Tensor) -> Tensor:
        """log p(theta) of each row, in nats."""

    def holds(self, theta: Tensor) -> Tensor:
        """Whether p(theta) > 0, for each row."""


class Problem(Protocol):
    """A simulator with a prior over its parameters."""

    @property
    def prior(self) -> Prior:
        """p(theta)."""

    def simulate(self, theta: Tensor, generator: Generator) -> Tensor:
        """x ~ p(x | theta), one for each row."""

    def log_likelihood(self, theta: Tensor, x: Tensor) -> Tensor:
        """log p(x | theta) of each row, up to a function of x."""


@runtime_checkable
class ExactProblem(Problem, Protocol):
    """One whose posterior is known."""

    def posterior(self, x: Tensor, count: int, generator: Generator) -> Tensor:
        """Draws of p(theta | x), (count, d), for one x."""

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) of each row, up to the same function of x."""


@dataclass(frozen=True)
class Box:
    """The uniform distribution on [-bound, bound]^dims."""

    dims: int
    bound: float

    def draw(self, count: int, generator: Generator) -> Tensor:
        return self.bound * (2 * uniform((count, self.dims), generator) - 1)

    def log_prob(self, theta: Tensor) -> Tensor:
        outside = ~self.holds(theta)
        density = torch.full(outside.shape, -self.dims * math.log(2 * self.bound)).double()
        return density.masked_fill(outside, -math.inf)

    def holds(self, theta: Tensor) -> Tensor:
        return (theta.abs() <= self.bound).all(-1)


@dataclass(frozen=True)
class Gaussian:
    """N(0, precision^-1)."""

    precision: Tensor

    def draw(self, count: int, generator: Generator) -> Tensor:
        root = torch.linalg.cholesky(self.precision)
        eps = normal((len(root), count), generator)
        return torch.linalg.solve_triangular(root.mT, eps, upper=True).mT

    def log_prob(self, theta: Tensor) -> Tensor:
        square = ((theta @ self.precision) * theta).sum(-1)
        volume = theta.shape[-1] * math.log(math.tau) - torch.logdet(self.precision)
        return -(square + volume) / 2

    def holds(self, theta: Tensor) -> Tensor:
        return torch.ones(theta.shape[:-1], dtype=torch.bool)
