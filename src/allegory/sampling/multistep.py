r"""Multistep methods: one evaluation a step, and the last few predictions.

In each of four *forms* the probability flow is the integral of one row of the Prediction (`process.prediction`). With
z = x/g and a clock c,

    form   g                      c                  dz/dc                          exact where
    x0     sigma                  alpha/sigma        x0                             x0 does not change
    eps    alpha                  sigma/alpha        eps                            eps does not change
    v      hypot(alpha, sigma)    atan(sigma/alpha)  (alpha eps - sigma x0)/g       the data are N(0, I)
    flow   alpha + sigma          sigma/(alpha + sigma)      eps - x0               x0 and eps do not change

A method is a rule of quadrature for it. **Adams-Bashforth** integrates the polynomial through the last k slopes; in
which variable it is a polynomial is a choice of its own (log-SNR, the clock, u = sigma/alpha, or t). **Correction**
costs nothing: once the slope at the new node is known, the same interval is integrated again by the polynomial that
holds it too, and the state moves by the difference while the network is not asked a second time (Zhao et al. 2023,
UniC). Both are linear in the slopes, so the next state is

    z_{i+1} = z_i + sum_j (corrected_{i,j} - predicted_{i,j}) F_j + sum_j predicted_{i+1,j} F_j.

Where the path has no signal or no noise at all, log-SNR is infinite, but the clocks of the v and the flow form are not: a
polynomial in them goes on to the very end. The others make a DDIM step there, and remember no slope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..lookup import pick
from ..numerics.quadrature import gauss_legendre
from ..process.coefficients import Coefficient
from ..process.path import Level
from .single_step import inner, plain
from .solver import Solver, Update

Rule = Callable[["Nodes"], Tensor]
"""Shape (steps, count), float64; row i: what multiplies the slopes in the integral from node i to node i + 1, newest
first. A rule that looks ahead begins with the slope at node i + 1, others with that at node i."""
Clock = Callable[[Tensor], Tensor]


POINTS = gauss_legendre(64, -1.0, 1.0)
WIDEST = 16.0
"""The half log-SNR that stands for an infinite one, or more where others are as wide; alpha or sigma is 1e-7 there."""
FARTHEST = 1.5
"""How much longer than the step before it a step to clean data may be to be extrapolated."""


@dataclass(frozen=True)
class Form:
    """How the flow is an integral: g, the clock and its slope, by half log-SNR; and the row of z's slope."""

    gauge: Callable[[Level], Coefficient]
    row: Callable[[Level], tuple[Coefficient, Coefficient]]
    clock: Clock
    speed: Clock
    """d clock / d lambda."""
    fresh: Callable[[Level, Level], Coefficient] | None = None
    """Of the form of an SDE: the standard deviation of what is drawn on the way from one Level to the next."""


def _v(level: Level) -> tuple[Coefficient, Coefficient]:
    return -level.sigma / level.marginal_std, level.alpha / level.marginal_std


FORMS = {
    "x0": Form(lambda level: level.sigma, lambda level: (1.0, 0.0), torch.exp, torch.exp),
    "eps": Form(lambda level: level.alpha, lambda level: (0.0, 1.0), lambda y: (-y).exp(), lambda y: -(-y).exp()),
    "v": Form(lambda level: level.marginal_std, _v, lambda y: (-y).exp().atan(), lambda y: -0.5 / y.cosh()),
    "flow": Form(
        lambda level: level.alpha + level.sigma, lambda level: (-1.0, 1.0),
        lambda y: (-y).sigmoid(), lambda y: -0.25 / (y / 2).cosh() ** 2,
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Nodes:
    """Levels of a grid, by half log-SNR."""

    levels: tuple[Level, ...]
    half: Float[Tensor, " n"]

    @classmethod
    def of(cls, levels: Sequence[Level]) -> Nodes:
        half = torch.tensor([level.log_snr for level in levels], dtype=torch.float64) / 2
        finite = half[half.isfinite()].abs()
        least = max(WIDEST, finite.max().item() + 1 if len(finite) else 0.0)
        return cls(tuple(levels), torch.where(half.isinf(), half.sign() * least, half))


def adams(form: Form, order: int, variable: str, ahead: int = 0) -> Rule:
    """The integral of the polynomial through the last `order` slopes, and with `ahead` = 1 the one at node i + 1 too.

    The first steps have fewer slopes, and a zero for each that is missing.
    """

    if order < 1:
        raise ValueError(f"order={order}; give a whole number, at least 1")
    pick("variable", variable, dict.fromkeys(("log_snr", "clock", "u", "t")))

    def rule(nodes: Nodes) -> Tensor:
        used = torch.arange(len(nodes.half) - 1)[:, None] + torch.arange(ahead, -order, -1)
        weights = _integrals(form, _variable(variable, form, nodes), nodes.half, used)
        clean = variable == "clock" and not ahead and nodes.levels[-1].sigma == 0.0
        return _landed(form.clock(nodes.half), weights) if clean else weights

    return rule


def _landed(clock: Float[Tensor, " n"], weights: Float[Tensor, "n-1 k"]) -> Float[Tensor, "n-1 k"]:
    """The last step, to clean data, of order two, or of order one if it is far longer than the one before.

    Beyond t = 0 there is nothing to correct a polynomial, and a network's slopes are noisy there: one of high order,
    carried on over several steps' length, would amplify that many times over.
    """
    step, before = clock[-1] - clock[-2], clock[-2] - clock[max(-3, -len(clock))]
    last = torch.zeros_like(weights[-1])
    bend = (
        step * step / (2 * before)
        if len(clock) > 2 and len(last) > 1 and step / before < FARTHEST
        else 0.0 * step
    )
    last = torch.cat([(step + bend)[None], -bend[None], last[2:]])[: len(last)]
    return torch.cat([weights[:-1], last[None]])


def _integrals(
    form: Form, place: Clock, half: Float[Tensor, " n"], used: Int64[Tensor, "n-1 k"]
) -> Tensor:
    """Step by step the integrals, by the clock, of the polynomials that are 1 at one used node and 0 at the others."""
    start, end = half[:-1, None], half[1:, None]
    y = (start + end) / 2 + (end - start) / 2 * POINTS[0]
    weight = (end - start) / 2 * POINTS[1] * form.speed(y)
    known, at = used >= 0, place(half)[used.clamp(min=0)]
    both = known[:, :, None] & known[:, None, :]  # step, polynomial, node
    no_factor = torch.eye(used.shape[1], dtype=torch.bool) | ~both
    up = torch.where(no_factor[..., None], 1.0, place(y)[:, None, None] - at[:, None, :, None])
    down = torch.where(no_factor, 1.0, at[:, :, None] - at[:, None, :])
    return known * (weight[:, None] * up.prod(2)).sum(2) / down.prod(2)


def each(rule: Callable[[Sequence[float], int], Sequence[float]]) -> Rule:
    """A rule for step i of all half log-SNRs, made one for all steps."""

    def rules(nodes: Nodes) -> Tensor:
        half = nodes.half.tolist()
        rows = [rule(half, i) for i in range(len(half) - 1)]
        longest = max(map(len, rows))
        return torch.tensor(
            [[*row, *[0.0] * (longest - len(row))] for row in rows], dtype=torch.float64
        )

    return rules


def _variable(name: str, form: Form, nodes: Nodes) -> Clock:
    if name == "log_snr":
        return lambda y: y
    if name == "clock":
        return form.clock
    if name == "u":
        return lambda y: (-y).exp()
    schedule = nodes.levels[0].path.schedule
    return lambda y: schedule.inverse(2 * y)


def multistep(
    form: Form, predict: Rule, correct: Rule | None = None, whole: bool = False
) -> Callable[[Sequence[Level]], list[Update]]:
    """The plan of a method that is linear in the slopes; `whole` if its rules are good for both ends of any path."""

    def plan(levels: Sequence[Level]) -> list[Update]:
        first = 0 if whole or inner(levels[0]) else 1
        last = len(levels) - (0 if whole or inner(levels[-1]) else 1)
        nodes = Nodes.of(levels[first:last])
        moves = [plain(levels[1])] * first
        if len(nodes.half) > 1:
            moves += _moves(form, nodes.levels, merged(nodes, predict, correct))
        return moves + [plain(levels[-1])] * (len(levels) - 1 - len(moves))

    return plan


def merged(nodes: Nodes, predict: Rule, correct: Rule | None) -> Float[Tensor, "steps count"]:
    """Weights of a whole step: predicted_i + corrected_{i-1} - predicted_{i-1}, newest slope first."""
    predicted = predict(nodes)
    if correct is None:
        return predicted
    corrected = correct(nodes)
    pad = torch.nn.functional.pad
    change = corrected - pad(predicted, (1, corrected.shape[1] - predicted.shape[1] - 1))
    return pad(predicted, (0, change.shape[1] - predicted.shape[1])) + pad(
        change[:-1], (0, 0, 1, 0)
    )


def _moves(
    form: Form, levels: Sequence[Level], weights: Float[Tensor, "steps count"]
) -> list[Update]:
    """g_s (z_t + sum_j w_j F_j), and a draw where the form is of an SDE."""
    moves = []
    for i, row in enumerate(weights.tolist()):
        here, to = levels[i], levels[i + 1]
        g = form.gauge(to)
        slopes = tuple(g * w for w in row[: i + 1])
        noise = () if form.fresh is None else (form.fresh(here, to),)
        moves.append(
            Update(
                to,
                state=g / form.gauge(here),
                store=(form.row(here),),
                history_weights=slopes,
                noise=noise,
            )
        )
    return moves


def exponential_adams(form: str, order: int, variable: str, corrected: bool) -> Solver:
    """Adams-Bashforth of this order in this form; corrected, it is of one order more."""
    name = f"{form}ab{order}{'c' if corrected else ''}"
    correct = adams(FORMS[form], order, variable, ahead=1) if corrected else None
    plan = multistep(
        FORMS[form], adams(FORMS[form], order, variable), correct, whole=variable == "clock"
    )
    return Solver(name, plan, order + corrected)
