"""A mixture of three normals on the line: the library's, by quadrature and by differentiation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.mixture import Mixture
from ..process.path import Level, Path
from ..process.prediction import Prediction
from .cases import chain
from .rules import line, normal


@dataclass(frozen=True, eq=False)
class MixtureCase:
    """A mixture of three normals on the line with labels 0, 0, 1, at x_t = alpha x_0 + sigma eps.

    Args:
        level: the library's Level.
        alpha, sigma: its scales in the paper's symbols.
        oracle: the library's mixture.
        means, stds, weights, labels: of the components.
    """

    level: Level
    alpha: float
    sigma: float
    oracle: Mixture

    means: tuple[float, ...] = (-1.6, 0.3, 1.4)
    stds: tuple[float, ...] = (0.4, 0.5, 0.3)
    weights: tuple[float, ...] = (0.5, 0.2, 0.3)
    labels: tuple[int, ...] = (0, 0, 1)

    def log_density(
        self, x: Float[Tensor, "n 1"], alpha: float, sigma: float, label: int | None = None
    ) -> Tensor:
        """log p(x_t), or log p(x_t, y), shape (n,), in the paper's symbols and differentiable.

        Args:
            x: x_t.
            alpha: scale of the data.
            sigma: scale of the noise.
            label: y; None for log p(x_t).
        """
        terms = [
            math.log(w) + normal(x[:, 0], alpha * m, alpha**2 * s**2 + sigma**2)
            for m, s, w, y in zip(self.means, self.stds, self.weights, self.labels, strict=True)
            if label is None or y == label
        ]

        return torch.stack(terms).logsumexp(0)

    def log_p(self, x: Float[Tensor, "n 1"], label: int | None = None) -> Tensor:
        """log p(x_t) at x, or log p(x_t, y) with y = label, shape (n,)."""
        return self.log_density(x, self.alpha, self.sigma, label)

    def weigh(self, x_t: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "m 1"], Float[Tensor, "n m"]]:
        """Points of x_0 and their probabilities given x_t, by Bayes' rule and quadrature."""
        x0, _ = line(5.0, 2001)
        joint = self.log_density(x0, 1.0, 0.0) + normal(x_t, self.alpha * x0[:, 0], self.sigma**2)
        return x0, joint.softmax(1)

    def mean_x0(self, x_t: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        """E[x_0 | x_t], by quadrature."""
        x0, p = self.weigh(x_t)
        mean: Tensor = p @ x0
        return mean

    def library_score(
        self, x_t: Float[Tensor, "n 1"], label: int | None = None
    ) -> Float[Tensor, "n 1"]:
        """The library's grad log p(x_t | y) with y = label."""
        condition = None if label is None else torch.full((len(x_t),), label)
        prediction: Prediction = self.oracle(x_t, self.level, condition)
        return prediction.view("score")


def mixture_case(t: int = 3) -> MixtureCase:
    """The mixture at step t of the chain."""
    whole = chain()
    alpha, sigma = math.sqrt(whole.A[t]), math.sqrt(1 - whole.A[t])
    return mixture_at(whole.path, whole.levels[t], alpha, sigma)


def mixture_at(path: Path, level: Level, alpha: float, sigma: float) -> MixtureCase:
    """The mixture at any Level.

    Args:
        path: the library's path.
        level: the Level.
        alpha: its scale of the data in the paper's symbols.
        sigma: its scale of the noise in the paper's symbols.
    """
    means, stds, weights = (
        torch.tensor(v, dtype=torch.float64)
        for v in (MixtureCase.means, MixtureCase.stds, MixtureCase.weights)
    )
    oracle = Mixture(
        means[:, None], stds, path=path, weights=weights, labels=torch.tensor(MixtureCase.labels)
    )

    return MixtureCase(level, alpha, sigma, oracle)


def sites() -> Float[Tensor, "9 1"]:
    """The points at which pointwise equalities are compared."""
    return torch.linspace(-2.5, 2.5, 9, dtype=torch.float64)[:, None]


def gradient(log_density: Tensor, x: Tensor) -> Tensor:
    """d sum(log_density) / d x, by automatic differentiation."""
    (slope,) = torch.autograd.grad(log_density.sum(), x)
    return slope
