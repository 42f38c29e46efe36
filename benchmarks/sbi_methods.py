r"""Methods of simulation-based inference: the exact posterior, rejection, a diffusion model.

All see 10^5 simulations (the exact one sees none) and answer for any observation. Draws outside of
the box of a uniform prior are left where they are, and are counted by the benchmark.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .sbi_priors import Box, ExactProblem, Problem, generator

NEAREST = 100
"""Simulations that rejection keeps, as in sbibm."""
PROPOSED = 3
"""Proposals from q(theta | x) per resampled draw, and the least number of proposals."""
_LEAST_PROPOSED = 100


class Posterior(Protocol):
    """p(theta | x) of a method, for any x."""

    def sample(self, x: Tensor, count: int, seed: int) -> Tensor:
        """Draws for one x of shape (k,): (count, d)."""

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        """log p(theta | x) in nats, of each row."""


@dataclass(frozen=True)
class Exact:
    """The posterior in closed form: what the judges say of a perfect method."""

    problem: ExactProblem

    def sample(self, x: Tensor, count: int, seed: int) -> Tensor:
        return self.problem.posterior(x, count, generator(seed))

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        joint = self.problem.prior.log_prob(theta) + self.problem.log_likelihood(theta, x)
        return joint - self.problem.log_evidence(x)


@dataclass(frozen=True)
class Rejection:
    """Rejection ABC: the parameters of the nearest simulations, with a kernel density around them.

    The distance is Euclidean, and the bandwidth is chosen by cross-validation, both as in sbibm.
    The kernel is a Gaussian; parameters with a box are in logits, so that none is outside.

    Args:
        problem: has the box.
        theta: parameters from the prior, (n, d).
        x: a simulation of each.
    """

    problem: Problem
    theta: Tensor
    x: Tensor

    def sample(self, x: Tensor, count: int, seed: int) -> Tensor:
        drawn = self._density(x).sample(count, random_state=seed)
        return self._from_line(torch.from_numpy(drawn))

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        line, slope = self._to_line(theta)
        different, which = x.unique(dim=0, return_inverse=True)
        found = torch.empty(len(theta), dtype=torch.float64)
        for number, one in enumerate(different):
            rows = which == number
            found[rows] = torch.from_numpy(self._density(one).score_samples(line[rows].numpy()))

        return found + slope

    def _density(self, x: Tensor) -> Any:
        from sklearn.model_selection import GridSearchCV
        from sklearn.neighbors import KernelDensity

        distance = (self.x - x).square().sum(1)
        near, _ = self._to_line(self.theta[distance.topk(NEAREST, largest=False).indices])
        widths = float(near.std(0).mean()) * np.geomspace(0.05, 1, 10)
        search = GridSearchCV(KernelDensity(), {"bandwidth": widths}, cv=5)
        return search.fit(near.numpy()).best_estimator_

    def _to_line(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters without a box, and the logarithm of the slope."""
        if not isinstance(self.problem.prior, Box):
            return theta, torch.zeros(len(theta), dtype=torch.float64)
        bound = self.problem.prior.bound
        place = (theta / bound + 1) / 2
        slope = -(place * (1 - place) * 2 * bound).log().sum(1)
        return place.logit(), slope

    def _from_line(self, line: Tensor) -> Tensor:
        if not isinstance(self.problem.prior, Box):
            return line
        return self.problem.prior.bound * (2 * line.sigmoid() - 1)


@dataclass(frozen=True)
class Weighted:
    """`allegory.estimator.DiffusionPosterior` with both densities: draws of q(theta | x) with the
    weights p(theta) prod_i l(x_i | theta) / q(theta | x).

    Args:
        fitted: a fitted DiffusionPosterior.
        points: independent observations that an x consists of.
    """

    fitted: Any
    points: int

    @classmethod
    def fit(
        cls, problem: Problem, theta: Tensor, x: Tensor, minutes: float, seed: int
    ) -> "Weighted":
        """Each density trained on simulations for half of so many minutes."""
        from allegory.estimator import DiffusionDensity, DiffusionPosterior

        points = getattr(problem, "points", 1)
        density = DiffusionDensity(minutes=minutes / 2, random_state=seed)
        fitted = DiffusionPosterior(_prior(problem), density=density)
        together = x.unflatten(1, (points, -1)) if points > 1 else x
        return cls(fitted.fit(theta.numpy(), together.numpy()), points)

    def sample(self, x: Tensor, count: int, seed: int) -> Tensor:
        """Different ones of `PROPOSED` times as many draws, by their weights."""
        proposed = max(PROPOSED * count, _LEAST_PROPOSED)
        draws = self._draws(x, proposed, seed)
        return torch.from_numpy(draws.resampled(count, seed, replace=False))

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        """By the mean weight of a few draws for each x, in the place of log p(x)."""
        found = torch.empty(len(theta), dtype=torch.float64)
        for place, (one, own) in enumerate(zip(theta.split(1), x, strict=True)):
            rows = one.numpy()
            log_p = self.fitted.prior.log_prob(rows)
            if np.isfinite(log_p[0]):
                log_p = log_p + self.fitted.log_likelihood(rows, own.view(self.points, -1).numpy())
                log_p = log_p - self._draws(own, _LEAST_PROPOSED, place).log_evidence
            found[place] = float(log_p[0])
        return found

    def _draws(self, x: Tensor, count: int, seed: int) -> Any:
        rows = x.view(self.points, -1).numpy()
        return self.fitted.draws(rows, count, random_state=seed, by_likelihood=True)


@dataclass(frozen=True)
class Diffusion:
    """The posterior half of `allegory.estimator.DiffusionPosterior`, fitted to (theta, x).

    Args:
        fitted: a fitted DiffusionPosterior.
    """

    fitted: Any

    @classmethod
    def fit(
        cls, problem: Problem, theta: Tensor, x: Tensor, minutes: float, seed: int
    ) -> "Diffusion":
        """Trained on simulations for so many minutes."""
        from allegory.estimator import DiffusionDensity, DiffusionPosterior

        density = DiffusionDensity(minutes=minutes, random_state=seed)
        fitted = DiffusionPosterior(_prior(problem), density=density)
        return cls(fitted.fit(theta.numpy(), x.numpy(), likelihood=False))

    def sample(self, x: Tensor, count: int, seed: int) -> Tensor:
        """Draws; the seed is the random state, so that two observations share no noise."""
        return torch.from_numpy(self.fitted.sample(count, x.numpy(), random_state=seed))

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        support, rows = self.fitted.support, theta.numpy()
        found = self.fitted.posterior.score_samples(support.to_free(rows), x.numpy())
        return torch.from_numpy(found + support.log_slope(rows))


def _prior(problem: Problem) -> Any:
    """The prior of a problem as one of allegory."""
    from allegory.estimator import BoxPrior

    prior = problem.prior
    if isinstance(prior, Box):
        return BoxPrior((-prior.bound,) * prior.dims, (prior.bound,) * prior.dims)
    return _FreePrior(prior)


@dataclass(frozen=True)
class _FreePrior:
    """A prior without a box.

    Args:
        prior: that of the problem.
    """

    prior: Any

    def sample(self, n: int, seed: int) -> Any:
        return self.prior.draw(n, generator(seed)).numpy()

    def log_prob(self, theta: Any) -> Any:
        return self.prior.log_prob(torch.from_numpy(theta)).numpy()
