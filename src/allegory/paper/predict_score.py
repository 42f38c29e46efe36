r"""Equations 131-151: the objective as a squared error of the score.

Lines 132-142 and 149-151 equate a known x_0 with a function of grad log p(x_t). Pointwise they hold
with the conditional score grad log q(x_t | x_0); with the marginal score of the data they hold in
mean given x_t. Each is executed in both senses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..process.kernel import posterior
from ..process.prediction import Prediction
from .cases import chain, step
from .check import Kind, Sides, same
from .mixture import MixtureCase, gradient, mixture_case, sites
from .predict_noise import SECTION

POINTWISE = (
    "Pointwise only with the conditional score ∇log q(x_t | x_0); "
    "with the marginal ∇log p(x_t) in mean given x_t."
)


@SECTION.equation(
    131, "E[μ_{x_t} | x_t] = √A_t E[x_0 | x_t] = x_t + (1−A_t) ∇log p(x_t) (Tweedie)", Kind.EXACT
)
def _eq131() -> Sides:
    case, x_t = mixture_case(), sites()
    return same(x_t + case.sigma**2 * case.library_score(x_t), case.alpha * case.mean_x0(x_t))


@SECTION.equation(
    131, "the library's E[x_0 | x_t] is that of Bayes' rule by quadrature", Kind.EXACT
)
def _eq131_denoiser() -> Sides:
    case, x_t = mixture_case(), sites()
    return same(case.oracle(x_t, case.level).x0, case.mean_x0(x_t))


@dataclass(frozen=True, eq=False)
class At:
    """The symbols of a line at one step.

    Args:
        a, A, B: alpha_t, A_t and A_{t-1}.
        x_t: the state.
        score: at the state.
    """

    a: float
    A: float
    B: float
    x_t: Tensor
    score: Tensor

    @property
    def x0(self) -> Tensor:
        """x_0 as (133) has it."""
        return (self.x_t + (1 - self.A) * self.score) / math.sqrt(self.A)


Line = Callable[[At], Tensor]


def _marginal(case: MixtureCase, x_t: Tensor) -> Tensor:
    """grad log p(x_t), by differentiation of the density in the paper's symbols."""
    x_t = x_t.clone().requires_grad_()
    return gradient(case.log_p(x_t), x_t)


def _conditional_at() -> At:
    case = step()
    return At(case.a, case.A, case.B, case.x_t, case.score)


def _marginal_at() -> At:
    whole, t = chain(), 3

    return At(
        whole.alpha[t], whole.A[t], whole.A[t - 1], sites(), _marginal(mixture_case(t), sites())
    )


def _signal(number: int, statement: str, power: float) -> Callable[[Line], Line]:
    """Register a line for sqrt(A_t)^power x_0: per sample, and in mean given x_t."""

    def register(line: Line) -> Line:
        def conditional() -> Sides:
            case = step()
            score = Prediction.of(case.x0, case.eps, case.t).view("score")

            return same(
                line(At(case.a, case.A, case.B, case.x_t, score)),
                math.sqrt(case.A) ** power * case.x0,
            )

        def marginal() -> Sides:
            at, case = _marginal_at(), mixture_case()
            library = case.library_score(at.x_t)

            return same(
                line(At(at.a, at.A, at.B, at.x_t, library)),
                case.alpha**power * case.mean_x0(at.x_t),
            )

        SECTION.equation(
            number, f"{statement}, conditional score", Kind.SAMPLE, POINTWISE, as_printed=False
        )(conditional)
        SECTION.equation(
            number,
            f"{statement}, marginal score and E[x_0 | x_t]",
            Kind.MEAN,
            POINTWISE,
            as_printed=False,
        )(marginal)

        return line

    return register


@_signal(132, "√A_t x_0 = x_t + (1−A_t) ∇log p(x_t)", 1)
def _line132(at: At) -> Tensor:
    return at.x_t + (1 - at.A) * at.score


@_signal(133, "x_0 = (x_t + (1−A_t) ∇log p(x_t)) / √A_t", 0)
def _line133(at: At) -> Tensor:
    return at.x0


def _mean(number: int, statement: str) -> Callable[[Line], Line]:
    """Register a line for the mean of x_{t-1}: per sample given x_0, and in mean given x_t."""

    def register(line: Line) -> Line:
        def conditional() -> Sides:
            return same(step().truth().mean, line(_conditional_at()))

        def marginal() -> Sides:
            at, case = _marginal_at(), mixture_case()
            library = posterior(case.oracle(at.x_t, case.level), chain().levels[2])
            return same(library.mean, line(at))

        SECTION.equation(
            number, f"{statement}, conditional score", Kind.SAMPLE, POINTWISE, as_printed=False
        )(conditional)
        SECTION.equation(
            number,
            f"{statement}, marginal score and E[μ_q | x_t]",
            Kind.MEAN,
            POINTWISE,
            as_printed=False,
        )(marginal)

        return line

    return register


@_mean(134, "μ_q as (93), x_0 by (133)")
def _line134(at: At) -> Tensor:
    return (math.sqrt(at.a) * (1 - at.B) * at.x_t + math.sqrt(at.B) * (1 - at.a) * at.x0) / (
        1 - at.A
    )


@_mean(135, "(133) inserted")
def _line135(at: At) -> Tensor:
    second = math.sqrt(at.B) * (1 - at.a) * (at.x_t + (1 - at.A) * at.score) / math.sqrt(at.A)
    return (math.sqrt(at.a) * (1 - at.B) * at.x_t + second) / (1 - at.A)


@_mean(136, "√A_{t−1} / √A_t = 1 / √α_t used")
def _line136(at: At) -> Tensor:
    second = (1 - at.a) * (at.x_t + (1 - at.A) * at.score) / math.sqrt(at.a)
    return (math.sqrt(at.a) * (1 - at.B) * at.x_t + second) / (1 - at.A)


@_mean(137, "three fractions")
def _line137(at: At) -> Tensor:
    below = (1 - at.A) * math.sqrt(at.a)
    own, through = math.sqrt(at.a) * (1 - at.B) * at.x_t / (1 - at.A), (1 - at.a) * at.x_t / below
    return own + through + (1 - at.a) * (1 - at.A) * at.score / below


def _score_part(at: At) -> Tensor:
    """(1 - alpha_t) / sqrt(alpha_t) times the score."""
    return (1 - at.a) / math.sqrt(at.a) * at.score


@_mean(138, "(√α_t(1−A_{t−1})/(1−A_t) + (1−α_t)/((1−A_t)√α_t)) x_t + ((1−α_t)/√α_t) ∇log p")
def _line138(at: At) -> Tensor:
    gain = math.sqrt(at.a) * (1 - at.B) / (1 - at.A) + (1 - at.a) / ((1 - at.A) * math.sqrt(at.a))
    return gain * at.x_t + _score_part(at)


@_mean(139, "(α_t(1−A_{t−1})/((1−A_t)√α_t) + (1−α_t)/((1−A_t)√α_t)) x_t + …")
def _line139(at: At) -> Tensor:
    below = (1 - at.A) * math.sqrt(at.a)
    return (at.a * (1 - at.B) / below + (1 - at.a) / below) * at.x_t + _score_part(at)


@_mean(140, "((α_t − A_t + 1 − α_t)/((1−A_t)√α_t)) x_t + …")
def _line140(at: At) -> Tensor:
    return (at.a - at.A + 1 - at.a) / ((1 - at.A) * math.sqrt(at.a)) * at.x_t + _score_part(at)


@_mean(141, "((1−A_t)/((1−A_t)√α_t)) x_t + …")
def _line141(at: At) -> Tensor:
    return (1 - at.A) / ((1 - at.A) * math.sqrt(at.a)) * at.x_t + _score_part(at)


@_mean(142, "μ_q = x_t/√α_t + ((1−α_t)/√α_t) ∇log p(x_t)")
def _line142(at: At) -> Tensor:
    return at.x_t / math.sqrt(at.a) + (1 - at.a) / math.sqrt(at.a) * at.score
