r"""Posteriors of the parameters of a simulator, by densities of simulated pairs.

    posterior = DiffusionPosterior(BoxPrior((-1, -1), (1, 1)), simulator).fit()
    posterior.sample(1000, x_o)                 draws of p(theta | x_o)
    posterior.log_posterior(theta, x_o)         exact log p(theta | x_o), by the ODE
    posterior.mode(x_o)                         the most probable theta
    posterior.draws(x_s, 1000)                  given several independent observations

Two densities are learned of pairs (theta, x): q(theta | x), the posterior for any x at once, and
l(x | theta), the likelihood. Of several observations

    log p(theta | x_1, ..., x_n) = log p(theta) + sum_i log l(x_i | theta) + constant

and draws of q(theta | x_1) are given the weights p(theta) prod_i l(x_i | theta) / q(theta | x_1).
A simulator that returns m independent observations of each theta, (n, m, k), is learned from as
q(theta | x_1, ..., x_m) and l(x_i | theta), the latter from m times as many pairs.
Parameters in a box are mapped to free numbers (`support`), so that no draw is outside.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from sklearn.base import clone

from ..lookup import check_count
from .checks import checked_seed
from .density import DiffusionDensity
from .priors import Prior
from .simulations import Simulations, matrix, numbers
from .support import Array, support_of
from .weighted import WeightedDraws

Simulator = Callable[[Array, int], Array]
"""x of each row of theta, (n, d) -> (n, k), or (n, m, k) for m observations of each, by a seed."""

_STARTS = 100
"""Draws, of which the most probable one is where the search for the mode begins."""
_FEW = 0.01
"""The fraction of draws below which an effective size is warned of."""


class DiffusionPosterior:
    """The posterior of the parameters of a simulator.

    Args:
        prior: of the parameters; `low` and `high` are the ends of a box, where it has them.
        simulator: x of each row of theta, by a seed; None where `fit` is given pairs.
        density: with the budget, the seed and further choices of each of the two densities that are
            learned; None for those of `DiffusionDensity()`.

    Raises:
        ValueError: for a prior that is none.
    """

    def __init__(
        self,
        prior: Prior,
        simulator: Simulator | None = None,
        density: DiffusionDensity | None = None,
    ) -> None:
        if not isinstance(prior, Prior):
            raise ValueError(f"prior={prior!r:.60}: give an object with sample(n, seed), log_prob")
        like = density or DiffusionDensity()

        self.prior, self.simulator = prior, simulator
        self.posterior = clone(like).set_params(conditional=True)
        self.likelihood = clone(like).set_params(conditional=True)
        self.seed, self.support = checked_seed(like.random_state), support_of(prior)
        self.together, self.width = 1, 0

    def fit(
        self,
        theta: Any = None,
        x: Any = None,
        simulations: int = 10_000,
        *,
        likelihood: bool = True,
    ) -> DiffusionPosterior:
        """Learn q(theta | x) and l(x | theta) of pairs.

        Args:
            theta: parameters (n, d), drawn from the prior; None draws them.
            x: what each leads to, (n, k), or m independent observations of each, (n, m, k); None
                simulates.
            simulations: how many, where they are drawn.
            likelihood: whether l(x | theta) is learned, which several observations need.

        Returns:
            The posterior.

        Raises:
            ValueError: for a simulator and pairs that are both absent, parameters outside of the
                box, another number of x, and values that are not finite.
        """
        if theta is None:
            check_count("simulations", simulations, 2, 2**31)
            theta = self.prior.sample(simulations, self.seed)
        if x is None:
            if self.simulator is None:
                raise ValueError("simulator=None: give one, or theta and x to fit")
            x = self.simulator(np.asarray(theta, np.float64), self.seed + 1)

        pairs = Simulations.of(theta, x)
        self.together, self.width = pairs.x.shape[1:]
        free = self.support.to_free(pairs.theta)

        self.posterior.fit(free, pairs.x.reshape(len(free), -1))
        self.likelihood = clone(self.likelihood)
        if likelihood:
            each = pairs.x.reshape(-1, self.width)
            self.likelihood.fit(each, np.repeat(free, self.together, axis=0))

        return self

    def sample(self, n: int, x: Any, random_state: int | None = None) -> Float64[Array, "n d"]:
        """Draws of q(theta | x).

        Args:
            n: how many.
            x: one observation (k,), or as many (m, k) as were simulated of each theta; of more than
                these the first are taken.
            random_state: an integer that seeds the draws; None for that of the posterior.

        Raises:
            ValueError: for fewer observations.
        """
        given = np.repeat(self._given(self._observations(x)), n, axis=0)
        return self.support.from_free(self.posterior.sample(n, given, random_state))

    def log_posterior(self, theta: Any, x: Any, prior: Prior | None = None) -> Float64[Array, " n"]:
        """log p(theta | x) in nats; up to a constant given another number of observations than were
        simulated of each theta, or another prior.

        Args:
            theta: parameters (n, d).
            x: an observation (k,), or several independent ones (m, k).
            prior: in the place of the one that was trained with.
        """
        theta, observed = matrix("theta", theta), self._observations(x)
        inside = np.isfinite(self.prior.log_prob(theta))
        found = np.full(len(theta), -np.inf)
        if not inside.any():
            return found

        part = theta[inside]
        if len(observed) == self.together:
            found[inside] = self._log_amortised(part, observed)
            if prior is not None:
                found[inside] += prior.log_prob(part) - self.prior.log_prob(part)
        else:
            found[inside] = self._log_joint(part, observed, prior)

        return found

    def log_likelihood(self, theta: Any, x: Any) -> Float64[Array, " n"]:
        """log l(x | theta) in nats; of several observations the sum.

        Args:
            theta: parameters (n, d).
            x: an observation (k,), or several independent ones (m, k).

        Raises:
            ValueError: where it was not learned.
        """
        if not hasattr(self.likelihood, "model_"):
            raise ValueError("the likelihood is not learned: call fit with likelihood=True")
        free = self.support.to_free(matrix("theta", theta))

        found = np.zeros(len(free))
        for each in self._observations(x):
            found += self.likelihood.score_samples(np.tile(each, (len(free), 1)), free)
        return found

    def draws(
        self,
        x: Any,
        n: int = 1000,
        prior: Prior | None = None,
        random_state: int | None = None,
        *,
        by_likelihood: bool = False,
    ) -> WeightedDraws:
        """Draws of the posterior given several observations, or with another prior, by weights.

        The proposals are those of `sample`. A UserWarning is given where the effective sample size
        is below a hundredth of their number.

        Args:
            x: an observation (k,), or several independent ones (m, k).
            n: how many.
            prior: in the place of the one that was trained with; it must be 0 where that is.
            random_state: an integer that seeds the draws; None for that of the posterior.
            by_likelihood: weights p(theta) prod_i l(x_i | theta) / q(theta | x) for one observation
                too, for which they are 1 otherwise: draws of the posterior by the likelihood that
                was learned, which is often simpler than q.

        Raises:
            ValueError: where no draw has a weight, and where the likelihood is not learned.
        """
        observed = self._observations(x)
        theta = self.sample(n, observed, random_state)
        wanted = (
            self._log_joint(theta, observed, prior)
            if by_likelihood
            else self.log_posterior(theta, observed, prior)
        )
        made = WeightedDraws.of(theta, wanted - self._log_amortised(theta, observed))

        if made.effective_size < _FEW * n:
            warnings.warn(
                f"effective sample size {made.effective_size:.1f} of {n} draws; take more",
                stacklevel=2,
            )
        return made

    def mode(self, x: Any, prior: Prior | None = None) -> Float64[Array, " d"]:
        """The most probable theta, by the method of Nelder and Mead from the best of 100 draws.

        Args:
            x: an observation (k,), or several independent ones (m, k).
            prior: in the place of the one that was trained with.
        """
        draws = self.sample(_STARTS, x)
        begin = draws[int(np.argmax(self.log_posterior(draws, x, prior)))]

        def cost(free: Array) -> float:
            theta = self.support.from_free(free[None])
            return -float(self.log_posterior(theta, x, prior)[0])

        start = self.support.to_free(begin[None])[0]
        found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3})

        best: Array = self.support.from_free(found.x[None])[0]
        return best

    def _log_joint(self, theta: Array, observed: Array, prior: Prior | None) -> Array:
        """log p(theta) + sum_i log l(x_i | theta)."""
        found: Array = (prior or self.prior).log_prob(theta) + self.log_likelihood(theta, observed)
        return found

    def _observations(self, x: Any) -> Array:
        """One observation or several, as rows."""
        observed = matrix("x", np.atleast_2d(numbers("x", x)))
        if self.width and observed.shape[1] != self.width:
            raise ValueError(
                f"x: shape {observed.shape}; an observation has {self.width} numbers, as at fit"
            )

        return observed

    def _given(self, observed: Array) -> Array:
        """The observations that q is given, as one row."""
        if len(observed) < self.together:
            raise ValueError(
                f"x: {len(observed)} of {self.together} observations; the posterior was learned of "
                f"{self.together} together, so give as many or more"
            )
        return observed[: self.together].reshape(1, -1)

    def _log_amortised(self, theta: Array, observed: Array) -> Array:
        """log q(theta | the observations that it is given)."""
        rows = np.repeat(self._given(observed), len(theta), axis=0)
        scores: Array = self.posterior.score_samples(self.support.to_free(theta), rows)
        return scores + self.support.log_slope(theta)
