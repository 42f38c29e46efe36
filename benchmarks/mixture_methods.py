r"""The methods of the mixture benchmark, and a Predict that counts what they ask of it.

Every method sees the mixture as a Predict with derivatives and nothing else, but for two that are
marked: they know the mixture itself.

    exact draws     x0 | x_t, y of DAPS from the mixture: component k has the weight
                    p(k | x_t) N(y; A mu_k, r^2 A A^T + s^2 I), r^2 = sigma^2/(alpha^2 + sigma^2)
    exact kernels   p(x_s | x_t) of TDS from the mixture, where others take ancestral steps
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from allegory.inverse import DAPS, Measurement, Method, TwistedSMC
from allegory.process import Level, Mixture, Path, Prediction
from allegory.process.instruction import Loop
from allegory.process.mean_span import MeanSpan
from benchmarks.mixture_problems import Problem


@dataclass(eq=False)
class Counted:
    """A Predict with the numbers of evaluations and vector-Jacobian products, per row.

    Args:
        base: the Predict.
        evaluations: rows that were evaluated.
        products: rows of vector-Jacobian products.
    """

    base: Mixture
    evaluations: int = field(default=0, init=False)
    products: int = field(default=0, init=False)

    @property
    def path(self) -> Path:
        """That of the base."""
        return self.base.path

    @property
    def reverse_kernel(self) -> Callable[..., object]:
        """The exact kernels of the base."""
        return self.base.reverse_kernel

    @property
    def marginal(self) -> Callable[..., object]:
        """The density of x_t."""
        return self.base.marginal

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction of the base."""
        self.evaluations += len(x_t)
        found = self.base(x_t, t, condition)
        if found.x0.requires_grad:
            found.x0.register_hook(self._count)
        return found

    def _count(self, slope: Tensor) -> None:
        self.products += len(slope)


@dataclass(frozen=True, eq=False)
class ExactDraw:
    """x0 given x_t and y, from the mixture itself.

    Args:
        problem: the measurement, and the mixture.
    """

    problem: Problem

    def __call__(self, loop: Loop, measurement: Measurement) -> Tensor:
        """The draw, one per row of the state."""
        loop.prediction()  # counted, and recorded by the driver
        x, level, problem = loop.x.double(), loop.level, self.problem
        whole = float(level.alpha) ** 2 + float(level.sigma) ** 2
        gain, variance = float(level.alpha) / whole, float(level.sigma) ** 2 / whole

        # mu_k = variance m_k + gain x_t
        span = MeanSpan(problem.means, torch.ones(len(problem.means), dtype=x.dtype))
        log_prior = problem.weights.log() + span.log_prob(x, level)
        seen = (
            variance * (problem.means @ problem.matrix.mT) + gain * (x @ problem.matrix.mT)[:, None]
        )
        likelihood = MultivariateNormal(seen, self._covariance(variance))
        log_weights = log_prior + likelihood.log_prob(problem.y)

        uniform = torch.special.ndtr(loop.draw(x[:, :1]))
        chosen = (log_weights.softmax(1).cumsum(1) < uniform).sum(1)
        means = variance * problem.means[chosen.clamp(max=len(problem.means) - 1)] + gain * x
        return self._given_y(means + variance**0.5 * loop.draw(x), variance, loop).to(loop.x)

    def _covariance(self, variance: float) -> Tensor:
        """That of y given x_t and the component."""
        matrix, noise = self.problem.matrix, self.problem.noise
        return variance * matrix @ matrix.mT + noise**2 * torch.eye(len(matrix), dtype=matrix.dtype)

    def _given_y(self, x: Tensor, variance: float, loop: Loop) -> Tensor:
        """Draws of x0 given y, of draws given the component, by Matheron's rule."""
        matrix, y = self.problem.matrix, self.problem.y
        noise = self.problem.noise * loop.draw(x[:, : len(y)])
        gain = variance * torch.linalg.solve(self._covariance(variance), matrix)
        return x + (y - x @ matrix.mT - noise) @ gain


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Args:
        settings: those among which one was chosen on other problems; each is a method, its name, or
            a function from a problem to a method.
        chosen: the index of the one that is reported.
        steps: of the grid.
        solver: of methods that are guides.
        knows: whether it knows the mixture.
    """

    settings: tuple[str | Method | Callable[[Problem], Method], ...]
    chosen: int = 0
    steps: int = 100
    solver: str = "ddpm_large"
    knows: bool = False

    def method(self, problem: Problem, index: int | None = None) -> str | Method:
        """The method for a problem, with the setting of an index or the one that was chosen."""
        found = self.settings[self.chosen if index is None else index]
        return found(problem) if callable(found) and not isinstance(found, type) else found


SPREAD = 11.36
"""The standard deviation of a number of an item under equal weights: sqrt(1 + 2 * 64)."""

ENTRIES = {
    "replacement": Entry(("replacement",)),
    "repaint": Entry(("repaint:5",)),
    "dps": Entry(("dps:0.3", "dps:1", "dps:3", "dps:10")),
    "pigdm": Entry(("pigdm:1", f"pigdm:{SPREAD}"), chosen=1),
    "mmps": Entry(("mmps",)),
    "ddnm": Entry(("ddnm", "ddnm_plus"), chosen=1),
    "ddrm": Entry(("ddrm", "ddrm:1"), chosen=1),
    "diffpir": Entry(("diffpir:0.1", "diffpir:1", "diffpir:10")),
    "daps": Entry(("daps:1", f"daps:{SPREAD}"), chosen=1),
    "daps, Tweedie": Entry(("daps_tweedie",)),
    "split Gibbs": Entry(("split_gibbs:10",), steps=50),
    "tds, K = 4000": Entry((TwistedSMC(4000, "tweedie", variance="large"),)),
    "daps, exact draws": Entry((lambda problem: DAPS(ExactDraw(problem)),), knows=True),
    "tds, exact kernels": Entry((TwistedSMC(4000, "tweedie", "exact"),), knows=True),
}
"""The rows of the table; costs are of one sample. The variance "large" of an ancestral step is that
of data of unit variance, as each component is."""
