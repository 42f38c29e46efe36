r"""Inverse problems on a mixture, with their posteriors in closed form (Cardoso et al. 2024).

    x0 ~ sum_k w_k N(m_k, I)       25 means (-8 i, -8 j) repeated, i, j = -2 .. 2; w_k ~ N(0, 1)^2
    y = A x0 + s eps               A of singular values from U(0, 1), s = U(0, 1) times the largest

With A A^T + s^2 I = S, the posterior is again a mixture of 25 components,

    p(k | y) ~ w_k N(y; A m_k, S)
    x0 | k, y ~ N(m_k + A^T S^-1 (y - A m_k), I - A^T S^-1 A).

The distance is sliced Wasserstein-1 between 1,000 samples and 1,000 exact ones. Its floor is that
between two sets of exact ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from allegory.evaluation import sliced_wasserstein
from allegory.process import Mixture, Path

COUNT = 1000
"""Samples in each of the two sets."""
PROJECTIONS = 300
ROWS = tuple((dims, measured) for dims in (8, 80, 800) for measured in (1, 2, 4))
EXACT, SECOND, PRIOR, NEAREST = range(4)
"""Streams of a problem's generator."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One measurement of one item of the mixture, in float64.

    Args:
        means: of the components, (25, d).
        weights: of the components, (25,).
        matrix: A, (measured, d).
        noise: s.
        y: what was measured, (measured,).
        seed: the numbers that it was drawn from.
    """

    means: Tensor
    weights: Tensor
    matrix: Tensor
    noise: float
    y: Tensor
    seed: tuple[int, int, int]

    @classmethod
    def draw(cls, dims: int, measured: int, number: int) -> Problem:
        """The problem of this number.

        Args:
            dims: d.
            measured: numbers in a measurement.
            number: of the problem, 0 or more.
        """
        rng = np.random.default_rng([dims, measured, number])
        steps = range(-2, 3)
        means = np.array([np.tile([-8.0 * i, -8.0 * j], dims // 2) for i in steps for j in steps])
        weights = rng.standard_normal(len(means)) ** 2
        weights = weights / weights.sum()

        u, _, v = np.linalg.svd(rng.standard_normal((measured, dims)), full_matrices=False)
        sizes = np.sort(rng.random(measured))[::-1]
        matrix = u * sizes @ v
        noise = rng.random() * sizes.max()
        x0 = means[rng.choice(len(means), p=weights)] + rng.standard_normal(dims)
        y = matrix @ x0 + noise * rng.standard_normal(measured)

        tensors = (torch.from_numpy(each) for each in (means, weights, matrix, y))
        means, weights, matrix, y = tensors
        return cls(means, weights, matrix, float(noise), y, (dims, measured, number))

    @property
    def dims(self) -> int:
        """d."""
        return self.means.shape[1]

    def prior(self, path: Path) -> Mixture:
        """The mixture, a Predict on this path."""
        return Mixture(self.means, 1.0, path=path, weights=self.weights)

    def posterior(self) -> tuple[Tensor, Tensor, Tensor]:
        """p(k | y) (25,), the means of x0 | k, y (25, d), and the gain A^T S^-1 (d, measured)."""
        measured = len(self.y)
        total = self.matrix @ self.matrix.mT
        total = total + self.noise**2 * torch.eye(measured, dtype=torch.float64)
        gain = torch.linalg.solve(total, self.matrix).mT
        residual = self.y - self.means @ self.matrix.mT

        quadratic = (residual * torch.linalg.solve(total, residual.mT).mT).sum(1)
        log_weights = self.weights.log() - 0.5 * quadratic
        return log_weights.softmax(0), self.means + residual @ gain.mT, gain

    def exact(self, stream: int = EXACT, count: int = COUNT) -> Tensor:
        """Exact draws of x0 | y, by Matheron's rule: z + A^T S^-1 (0 - A z - s e) of prior draws.

        Args:
            stream: which set of draws.
            count: how many.
        """
        rng = self.rng(stream)
        weights, means, gain = self.posterior()
        chosen = rng.choice(len(weights), count, p=weights.numpy())
        z = torch.from_numpy(rng.standard_normal((count, self.dims)))
        noise = self.noise * torch.from_numpy(rng.standard_normal((count, len(self.y))))
        return means[chosen] + z - (z @ self.matrix.mT + noise) @ gain.mT

    def prior_draws(self, count: int = COUNT) -> Tensor:
        """Draws that ignore y."""
        rng = self.rng(PRIOR)
        chosen = rng.choice(len(self.means), count, p=self.weights.numpy())
        return self.means[chosen] + torch.from_numpy(rng.standard_normal((count, self.dims)))

    def nearest_draws(self, count: int = COUNT) -> Tensor:
        """Draws of the one component whose mean gives nearly y."""
        misses = (self.means @ self.matrix.mT - self.y).square().sum(1)
        z = torch.from_numpy(self.rng(NEAREST).standard_normal((count, self.dims)))
        return self.means[misses.argmin()] + z

    def distance(self, samples: Tensor) -> float:
        """Sliced Wasserstein-1 distance of samples from the first set of exact draws."""
        return sliced_wasserstein(samples, self.exact(), self.seed[2], PROJECTIONS, order=1)

    def rng(self, stream: int) -> np.random.Generator:
        """The generator of a stream of this problem."""
        return np.random.default_rng([*self.seed, stream])
