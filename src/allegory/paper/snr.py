"""Equations 101-114: the weight of the objective as a difference of signal-to-noise ratios."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.quadrature import gauss_legendre
from ..process.bound_terms import diffusion_loss
from ..process.learned_schedule import LearnedSchedule
from ..process.path import Level, Path
from ..process.prediction import Prediction, as_predict
from ..process.scaling import SCALINGS
from ..process.schedule import Cosine, LinearLogSNR
from .cases import Step, chain, step
from .check import Kind, Sides, bound, same, section
from .rules import draws

SECTION = section("snr", "Signal-to-noise ratio", 101, 114)


def _weighed(case: Step, weight: float) -> Sides:
    """The library's divergence of a step, against a weight of |x̂ - x_0|^2."""
    return same(case.kl("x0"), weight * (case.guess - case.x0).square().sum(1))


@SECTION.equation(
    101,
    "weight ½ ((1−A_t) / ((1−α_t)(1−A_{t−1}))) (A_{t−1}(1−α_t)² / (1−A_t)²), by inverting (85)",
    Kind.EXACT,
)
def _eq101() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B

    return _weighed(
        case, 1 / (2 * ((1 - a) * (1 - B) / (1 - A))) * (B * (1 - a) ** 2 / (1 - A) ** 2)
    )


@SECTION.equation(102, "the fraction inverted", Kind.EXACT)
def _eq102() -> Sides:
    case = step()
    a, A, B = case.a, case.A, case.B
    return _weighed(case, 0.5 * (1 - A) / ((1 - a) * (1 - B)) * (B * (1 - a) ** 2 / (1 - A) ** 2))


@SECTION.equation(103, "weight ½ A_{t−1}(1−α_t) / ((1−A_{t−1})(1−A_t))", Kind.EXACT)
def _eq103() -> Sides:
    case = step()
    return _weighed(case, 0.5 * case.B * (1 - case.a) / ((1 - case.B) * (1 - case.A)))


@SECTION.equation(104, "weight ½ (A_{t−1} − A_t) / ((1−A_{t−1})(1−A_t))", Kind.EXACT)
def _eq104() -> Sides:
    case = step()
    return _weighed(case, 0.5 * (case.B - case.A) / ((1 - case.B) * (1 - case.A)))


@SECTION.equation(
    105, "weight ½ (A_{t−1} − A_{t−1}A_t + A_{t−1}A_t − A_t) / ((1−A_{t−1})(1−A_t))", Kind.EXACT
)
def _eq105() -> Sides:
    case = step()
    A, B = case.A, case.B
    return _weighed(case, 0.5 * (B - B * A + B * A - A) / ((1 - B) * (1 - A)))


@SECTION.equation(
    106, "weight ½ (A_{t−1}(1−A_t) − A_t(1−A_{t−1})) / ((1−A_{t−1})(1−A_t))", Kind.EXACT
)
def _eq106() -> Sides:
    case = step()
    A, B = case.A, case.B
    return _weighed(case, 0.5 * (B * (1 - A) - A * (1 - B)) / ((1 - B) * (1 - A)))


@SECTION.equation(107, "split into two fractions", Kind.EXACT)
def _eq107() -> Sides:
    case = step()
    A, B = case.A, case.B
    both = (1 - B) * (1 - A)

    return _weighed(case, 0.5 * (B * (1 - A) / both - A * (1 - B) / both))


@SECTION.equation(108, "weight ½ (A_{t−1}/(1−A_{t−1}) − A_t/(1−A_t))", Kind.EXACT)
def _eq108() -> Sides:
    case = step()
    return _weighed(case, 0.5 * (case.B / (1 - case.B) - case.A / (1 - case.A)))


def _ratios() -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """SNR(1..T): mean^2 / variance of the library's q(x_t | x_0 = 1), and A_t / (1 - A_t)."""
    case, one = chain(), torch.ones(1, 1, dtype=torch.float64)
    library = [float(level.alpha * one) ** 2 / float(level.sigma) ** 2 for level in case.levels[1:]]
    letters = [A / (1 - A) for A in case.A[1:]]

    return torch.tensor(library, dtype=torch.float64), torch.tensor(letters, dtype=torch.float64)


@SECTION.equation(109, "SNR(t) = A_t / (1 − A_t)", Kind.DEFINITION)
def _eq109() -> Sides:
    return same(*_ratios())


@SECTION.equation(109, "SNR(t − 1) ≥ SNR(t), by (A_{t−1} − A_t) / ((1−A_{t−1})(1−A_t))", Kind.BOUND)
def _eq109_falls() -> Sides:
    snr, A = _ratios()[0], torch.tensor(chain().A[1:], dtype=torch.float64)
    return bound(snr[:-1], snr[1:], (A[:-1] - A[1:]) / ((1 - A[:-1]) * (1 - A[1:])))


@SECTION.equation(
    110, "the divergence of step t is ½ (SNR(t − 1) − SNR(t)) ‖x̂ − x_0‖², t ≥ 2", Kind.EXACT
)
def _eq110() -> Sides:
    whole, case, at = chain(), step(), 3

    def predict(
        x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        return Prediction.solve("x0", case.guess, x_t, whole.path.at(t, like=x_t))

    time = torch.full((5,), (at - 1) / (whole.steps - 1), dtype=torch.float64)
    truth = Prediction.of(case.x0, case.eps, whole.path.at(time, like=case.x0))
    found = diffusion_loss(as_predict(predict, whole.path), truth, steps=whole.steps - 1)
    _, snr = _ratios()
    expected = 0.5 * (snr[at - 2] - snr[at - 1]) * (case.guess - case.x0).square().sum(1)

    return same(found / (whole.steps - 1), expected)


def _omega() -> tuple[LinearLogSNR, Float[Tensor, " n"], Float[Tensor, " n"]]:
    """A schedule, times, and its increasing omega(t) = -5 + 11 t in the paper's symbols."""
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    return LinearLogSNR(5.0, -6.0), t, -5 + 11 * t


CONTINUOUS = (
    "As the steps shrink the difference becomes a slope: "
    "the weight of diffusion in continuous time."
)


@SECTION.equation(110, "in continuous time −½ SNR′(t) ‖x̂ − x_0‖²", Kind.EXACT, note=CONTINUOUS)
def _eq110_continuous() -> Sides:
    case, (schedule, t, omega) = step(), _omega()
    path, t, omega = Path(schedule, "vp"), t[2:7], omega[2:7]

    def predict(
        x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        level = path.at(t, like=x_t)
        v = (
            level.alpha * x_t - case.guess
        ) / level.sigma  # of that x_0, where alpha^2 + sigma^2 = 1

        return Prediction.solve("v", v, x_t, level)

    slope = -11 * torch.exp(-omega)
    expected = -0.5 * slope * (case.guess - case.x0).square().sum(1)

    truth = Prediction.of(case.x0, case.eps, path.at(t, like=case.x0))

    return same(diffusion_loss(as_predict(predict, path), truth), expected)


@SECTION.equation(111, "SNR(t) = exp(−ω(t)) on every scaling, as √SNR = α/σ", Kind.DEFINITION)
def _eq111() -> Sides:
    schedule, t, omega = _omega()
    levels = [Path(schedule, scaling).at(t) for scaling in SCALINGS]
    root = torch.stack([torch.as_tensor(level.alpha / level.sigma) for level in levels])

    return same(root, torch.exp(-omega / 2).expand(len(levels), -1))


def _learned() -> LearnedSchedule:
    """A learned schedule with arbitrary parameters."""
    schedule = LearnedSchedule(6.0, -5.0, units=8)
    with torch.no_grad():
        for i, parameter in enumerate(schedule.parameters()):
            parameter.copy_(0.05 * draws(104 + i, *parameter.shape))

    return schedule


@SECTION.equation(
    111, "a learned ω(t) rises: SNR(s) − SNR(t) = ∫_s^t SNR ω′ ≥ 0 for s < t", Kind.BOUND
)
def _eq111_learned() -> Sides:
    schedule, steps = _learned(), 16
    ends = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    nodes, weight = gauss_legendre(24)
    inside = (ends[:-1, None] + nodes / steps).flatten()
    level = Path(schedule, "vp").at(inside)
    fall = -(torch.as_tensor(level.alpha / level.sigma) ** 2) * torch.as_tensor(level.dlog_snr)
    snr = torch.exp(schedule(ends))

    return bound(snr[:-1], snr[1:], (fall.reshape(steps, -1) * weight).sum(1) / steps)


@SECTION.equation(112, "A_t / (1 − A_t) = exp(−ω(t)), ω of the betas", Kind.EXACT)
def _eq112() -> Sides:
    snr = torch.tensor(
        [math.exp(level.log_snr) for level in chain().levels[1:]], dtype=torch.float64
    )

    return same(snr, _ratios()[1])


@SECTION.equation(113, "A_t = sigmoid(−ω(t))", Kind.EXACT)
def _eq113() -> Sides:
    schedule, t, omega = _omega()
    return same(torch.as_tensor(Path(schedule, "vp").at(t).alpha) ** 2, 1 / (1 + omega.exp()))


@SECTION.equation(
    113, "the cosine schedule is ω(t) = 2 log tan(πt/2), so that A_t = cos²(πt/2)", Kind.EXACT
)
def _eq113_cosine() -> Sides:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    level = Path(Cosine(math.inf, -math.inf), "vp").at(t)
    return same(torch.as_tensor(level.alpha) ** 2, torch.cos(math.pi * t / 2) ** 2)


@SECTION.equation(114, "1 − A_t = sigmoid(ω(t))", Kind.EXACT)
def _eq114() -> Sides:
    schedule, t, omega = _omega()

    return same(
        torch.as_tensor(Path(schedule, "vp").at(t).sigma) ** 2, omega.exp() / (1 + omega.exp())
    )
