r"""Equations 71-85: Bayes' rule and the square completed, q(x_{t-1} | x_t, x_0), for t >= 2.

Every line is compared with the library's `kernel.posterior`. Lines 73-83 hold up to a factor that
does not depend on x_{t-1}, so they are compared over many x_{t-1} at one (x_t, x_0). Squares of
vectors mean squared norms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .cases import Chain, chain
from .check import Kind, Sides, bound, same, section
from .rules import draws, normal

SECTION = section("posterior", "The posterior of one step", 71, 85)


@dataclass(frozen=True, eq=False)
class Bayes:
    """One (x_t, x_0) and thirty x_{t-1}, with the symbols of the lines.

    Args:
        case: the chain.
        t: the step.
        x: x_{t-1}, (n, d).
        x_t: (1, d).
    """

    case: Chain
    t: int
    x: Float[Tensor, "n d"]
    x_t: Float[Tensor, "1 d"]

    @property
    def letters(self) -> tuple[float, float, float]:
        """alpha_t, A_t, A_{t-1}."""
        return self.case.alpha[self.t], self.case.A[self.t], self.case.A[self.t - 1]

    @property
    def x0(self) -> Float[Tensor, "1 d"]:
        """The data."""
        return self.case.x0

    def log_posterior(self) -> Float[Tensor, " n"]:
        """The library's log q(x_{t-1} | x_t, x_0)."""
        return self.case.posterior(self.t, self.x_t.expand(len(self.x), -1)).log_prob(self.x)

    @property
    def precision(self) -> float:
        """1 / variance of the library's posterior."""
        return float(self.case.posterior(self.t, self.x_t).std) ** -2

    @property
    def linear(self) -> Float[Tensor, "1 d"]:
        """sqrt(alpha_t) x_t / (1 - alpha_t) + sqrt(A_{t-1}) x_0 / (1 - A_{t-1})."""
        a, _, B = self.letters
        return math.sqrt(a) * self.x_t / (1 - a) + math.sqrt(B) * self.x0 / (1 - B)

    def exponent(self, precision: float, mean: Tensor) -> Float[Tensor, " n"]:
        """-1/2 precision (x^2 - 2 mean x) for these numbers."""
        return -0.5 * precision * (self.x * self.x - 2 * mean * self.x).sum(1)


def _bayes() -> Bayes:
    return Bayes(chain(), 3, 1.5 * draws(90, 30, 2), draws(91, 1, 2))


def _squares(case: Bayes) -> tuple[Tensor, Tensor, Tensor]:
    """The three squared norms over their variances, as in line 73."""
    a, A, B = case.letters
    step = (case.x_t - math.sqrt(a) * case.x).square().sum(1) / (1 - a)
    before = (case.x - math.sqrt(B) * case.x0).square().sum(1) / (1 - B)
    here = (case.x_t - math.sqrt(A) * case.x0).square().sum(1) / (1 - A)

    return step, before, here


@SECTION.equation(
    71, "q(x_{t−1} | x_t, x_0) = q(x_t | x_{t−1}, x_0) q(x_{t−1} | x_0) / q(x_t | x_0)", Kind.SAMPLE
)
def _eq71() -> Sides:
    case = _bayes()
    chain_, t, n = case.case, case.t, len(case.x)
    x_t = case.x_t.expand(n, -1)
    above = chain_.forward(t, case.x).log_prob(x_t) + chain_.marginal(t - 1, n).log_prob(case.x)

    return same(case.log_posterior(), above - chain_.marginal(t, n).log_prob(x_t))


@SECTION.equation(
    72,
    "= N(x_t; √α_t x_{t−1}, 1 − α_t) N(x_{t−1}; √A_{t−1} x_0, 1 − A_{t−1}) "
    "/ N(x_t; √A_t x_0, 1 − A_t)",
    Kind.SAMPLE,
)
def _eq72() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    above = normal(case.x_t, math.sqrt(a) * case.x, 1 - a) + normal(
        case.x, math.sqrt(B) * case.x0, 1 - B
    )

    return same(
        case.log_posterior(), (above - normal(case.x_t, math.sqrt(A) * case.x0, 1 - A)).sum(1)
    )


@SECTION.equation(
    73,
    "∝ exp{−[(x_t − √α_t x)² / 2(1−α_t) + (x − √A_{t−1} x_0)² / 2(1−A_{t−1}) "
    "− (x_t − √A_t x_0)² / 2(1−A_t)]}",
    Kind.PROPORTIONAL,
)
def _eq73() -> Sides:
    case = _bayes()
    step, before, here = _squares(case)
    return same(case.log_posterior(), -(step / 2 + before / 2 - here / 2))


@SECTION.equation(
    74, "−½ taken out: equal to (72) once the normalising constants are put back", Kind.SAMPLE
)
def _eq74() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    step, before, here = _squares(case)
    constant = -math.log(2 * math.pi * (1 - a) * (1 - B) / (1 - A))  # d/2 = 1

    return same(case.log_posterior(), -0.5 * (step + before - here) + constant)


def _constant(case: Bayes) -> float:
    """C(x_t, x_0): the terms of the squares without x_{t-1}."""
    a, A, B = case.letters
    parts = case.x_t.square() / (1 - a) + B * case.x0.square() / (1 - B)
    return float((parts - (case.x_t - math.sqrt(A) * case.x0).square() / (1 - A)).sum())


def _expanded(case: Bayes) -> Tensor:
    """The squares of line 75 without C(x_t, x_0)."""
    a, _, B = case.letters
    x, x_t, x0 = case.x, case.x_t, case.x0
    step = (-2 * math.sqrt(a) * x_t * x + a * x * x) / (1 - a)

    return (step + (x * x - 2 * math.sqrt(B) * x * x0) / (1 - B)).sum(1)


@SECTION.equation(
    75,
    "= exp{−½[(−2√α_t x_t x + α_t x²)/(1−α_t) + (x² − 2√A_{t−1} x x_0)/(1−A_{t−1}) + C(x_t, x_0)]}",
    Kind.SAMPLE,
)
def _eq75() -> Sides:
    case = _bayes()
    normaliser = -math.log(2 * math.pi / case.precision)  # d/2 = 1
    return same(case.log_posterior() - normaliser, -0.5 * (_expanded(case) + _constant(case)))


@SECTION.equation(76, "C(x_t, x_0) left out", Kind.PROPORTIONAL)
def _eq76() -> Sides:
    case = _bayes()
    return same(case.log_posterior(), -0.5 * _expanded(case))


@SECTION.equation(
    77,
    "= exp{−½[(α_t/(1−α_t) + 1/(1−A_{t−1})) x² "
    "− 2(√α_t x_t/(1−α_t) + √A_{t−1} x_0/(1−A_{t−1})) x]}",
    Kind.PROPORTIONAL,
)
def _eq77() -> Sides:
    case = _bayes()
    a, _, B = case.letters
    precision = a / (1 - a) + 1 / (1 - B)

    return same(case.log_posterior(), case.exponent(precision, case.linear / precision))


@SECTION.equation(
    78, "precision (α_t(1 − A_{t−1}) + 1 − α_t) / ((1 − α_t)(1 − A_{t−1}))", Kind.EXACT
)
def _eq78() -> Sides:
    case = _bayes()
    a, _, B = case.letters
    return same(case.precision, (a * (1 - B) + 1 - a) / ((1 - a) * (1 - B)))


@SECTION.equation(79, "precision (α_t − A_t + 1 − α_t) / ((1 − α_t)(1 − A_{t−1}))", Kind.EXACT)
def _eq79() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    return same(case.precision, (a - A + 1 - a) / ((1 - a) * (1 - B)))


@SECTION.equation(80, "precision (1 − A_t) / ((1 − α_t)(1 − A_{t−1}))", Kind.EXACT)
def _eq80() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    return same(case.precision, (1 - A) / ((1 - a) * (1 - B)))


@SECTION.equation(81, "= exp{−½ precision [x² − 2 (linear / precision) x]}", Kind.PROPORTIONAL)
def _eq81() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    precision = (1 - A) / ((1 - a) * (1 - B))

    return same(case.log_posterior(), case.exponent(precision, case.linear / precision))


@SECTION.equation(
    82, "= … [x² − 2 (linear · (1 − α_t)(1 − A_{t−1}) / (1 − A_t)) x]", Kind.PROPORTIONAL
)
def _eq82() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    variance = (1 - a) * (1 - B) / (1 - A)

    return same(case.log_posterior(), case.exponent(1 / variance, case.linear * variance))


def _mean(case: Bayes) -> Tensor:
    """The mean of line 83."""
    a, A, B = case.letters
    return (math.sqrt(a) * (1 - B) * case.x_t + math.sqrt(B) * (1 - a) * case.x0) / (1 - A)


@SECTION.equation(
    83, "mean (√α_t (1 − A_{t−1}) x_t + √A_{t−1} (1 − α_t) x_0) / (1 − A_t)", Kind.PROPORTIONAL
)
def _eq83() -> Sides:
    case = _bayes()
    a, A, B = case.letters
    return same(case.log_posterior(), case.exponent((1 - A) / ((1 - a) * (1 - B)), _mean(case)))


@SECTION.equation(
    84, "∝ N(x_{t−1}; μ_q(x_t, x_0), Σ_q(t)), equal to it with its constants", Kind.SAMPLE
)
def _eq84() -> Sides:
    case = _bayes()
    a, A, B = case.letters

    return same(
        case.log_posterior(), normal(case.x, _mean(case), (1 - a) * (1 - B) / (1 - A)).sum(1)
    )


@SECTION.equation(
    84, "is the joint law of x_{t−1} and x_t given x_0, conditioned on x_t", Kind.EXACT
)
def _eq84_dense() -> Sides:
    case = _bayes()
    law = case.case.q(case.t, case.t - 1).given(case.x_t)
    library = case.case.posterior(case.t, case.x_t)
    variance = torch.full((1, 1), float(library.std) ** 2, dtype=torch.float64)

    return same(torch.cat([library.mean, variance], 1), torch.cat([law.mean, law.cov], 1))


@SECTION.equation(85, "σ_q²(t) = (1 − α_t)(1 − A_{t−1}) / (1 − A_t), zero at t = 1", Kind.EXACT)
def _eq85() -> Sides:
    case = chain()
    steps = range(1, case.steps + 1)
    found = [float(case.posterior(t, case.x0).std) ** 2 for t in steps]
    letters = [(1 - case.alpha[t]) * (1 - case.A[t - 1]) / (1 - case.A[t]) for t in steps]

    return same(
        torch.tensor(found, dtype=torch.float64), torch.tensor(letters, dtype=torch.float64)
    )


@SECTION.equation(85, "1 − α_t ≥ σ_q²(t), by (1 − α_t)² A_{t−1} / (1 − A_t)", Kind.BOUND)
def _eq85_bound() -> Sides:
    case = chain()
    steps = range(1, case.steps + 1)
    found = torch.tensor(
        [float(case.posterior(t, case.x0).std) ** 2 for t in steps], dtype=torch.float64
    )
    gap = [(1 - case.alpha[t]) ** 2 * case.A[t - 1] / (1 - case.A[t]) for t in steps]

    return bound(
        1 - torch.tensor(case.alpha[1:], dtype=torch.float64),
        found,
        torch.tensor(gap, dtype=torch.float64),
    )
