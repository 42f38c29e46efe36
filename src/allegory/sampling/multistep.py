r"""Multistep methods: one evaluation a step, and the last few beliefs.

In each of four *forms* the probability flow is the integral of one row of the Prediction (`process.prediction`). With
z = x/g and a clock c,

    form   g                      c                  dz/dc                          exact where
    x0     sigma                  alpha/sigma        x0                             x0 does not change
    eps    alpha                  sigma/alpha        eps                            eps does not change
    v      hypot(alpha, sigma)    atan(sigma/alpha)  (alpha eps - sigma x0)/g       the data are N(0, I)
    flow   alpha + sigma          sigma/(alpha + sigma)      eps - x0               x0 and eps do not change

A method is a rule of quadrature for it. **Adams-Bashforth** integrates the polynomial through the last k slopes; in
which variable it is a polynomial is a choice of its own (log-SNR, the clock, or t). **Correction** costs nothing: once
the slope at the new node is known, the same interval is integrated again by the polynomial that holds it too, and the
state moves by the difference while the network is not asked a second time (Zhao et al. 2023, UniC). Both are linear in
the slopes, so the next state is

    z_{i+1} = z_i + sum_j (corrected_{i,j} - predicted_{i,j}) F_j + sum_j predicted_{i+1,j} F_j.

Where the path has no signal or no noise at all, a DDIM step is made, and no slope is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..process.path import Level
from ..process.scale import Scale
from .plan import Move, Solver, Term
from .steps import inner, plain

Weights = dict[int, float]
"""What multiplies the slope of each node."""
Rule = Callable[["Nodes"], list[Weights]]
"""Weights of the integrals from each node to the next."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Form:
    """How the flow is an integral: g, the clock and its slope, by half log-SNR; and the row of z's slope."""

    gauge: Callable[[Level], Scale]
    row: Callable[[Level], tuple[Scale, Scale]]
    clock: Callable[[Floats], Floats]
    speed: Callable[[Floats], Floats]
    """d clock / d lambda."""


def _v(level: Level) -> tuple[Scale, Scale]:
    return -level.sigma / level.spread, level.alpha / level.spread


FORMS = {
    "x0": Form(lambda level: level.sigma, lambda level: (1.0, 0.0), np.exp, np.exp),
    "eps": Form(lambda level: level.alpha, lambda level: (0.0, 1.0), lambda y: np.exp(-y), lambda y: -np.exp(-y)),
    "v": Form(lambda level: level.spread, _v, lambda y: np.arctan(np.exp(-y)), lambda y: -0.5 / np.cosh(y)),
    "flow": Form(
        lambda level: level.alpha + level.sigma, lambda level: (-1.0, 1.0),
        lambda y: 1 / (1 + np.exp(y)), lambda y: -0.25 / np.cosh(y / 2) ** 2,
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Nodes:
    """The Levels of a grid that have both signal and noise, by half log-SNR."""

    levels: tuple[Level, ...]
    half: Floats

    @classmethod
    def of(cls, levels: Sequence[Level]) -> Nodes:
        return cls(tuple(levels), np.array([level.log_snr / 2 for level in levels]))


def adams(form: Form, order: int, variable: str, ahead: int = 0) -> Rule:
    """The integral of the polynomial through the last `order` slopes, and with `ahead` = 1 the one at node i + 1 too.

    The first steps have fewer slopes; all steps with equally many are integrated at once.
    """

    def rule(nodes: Nodes) -> list[Weights]:
        steps = np.arange(len(nodes.half) - 1)
        place, found = _variable(variable, form, nodes), list[Weights]()
        for behind in range(min(order, len(steps))):
            some = steps[behind:] if behind == order - 1 else steps[behind : behind + 1]
            used = some[:, None] + np.arange(-behind, 1 + ahead)
            for row, weights in zip(used.tolist(), _integrals(form, place, nodes.half, some, used), strict=True):
                found.append(dict(zip(row, weights, strict=True)))
        return found

    return rule


def _integrals(
    form: Form, place: Callable[[Floats], Floats], half: Floats, steps: Ints, used: Ints
) -> list[list[float]]:
    """For each step the integrals over it, by the clock, of the polynomials that are 1 at one used node, 0 at others."""
    start, end = half[steps, None], half[steps + 1, None]
    y = (start + end) / 2 + (end - start) / 2 * POINTS[0]
    weight = (end - start) / 2 * POINTS[1] * form.speed(y)
    at, x = place(half)[used], place(y)
    columns = []
    for k in range(at.shape[1]):
        value = np.ones_like(x)
        for m in range(at.shape[1]):
            if m != k:
                value *= (x - at[:, m : m + 1]) / (at[:, k : k + 1] - at[:, m : m + 1])
        columns.append((weight * value).sum(1))
    table: list[list[float]] = np.stack(columns, 1).tolist()
    return table


def each(rule: Callable[[Nodes, int], Weights]) -> Rule:
    """A rule for one step, for all."""
    return lambda nodes: [rule(nodes, i) for i in range(len(nodes.half) - 1)]


def _variable(name: str, form: Form, nodes: Nodes) -> Callable[[Floats], Floats]:
    if name == "log_snr":
        return lambda y: y
    if name == "clock":
        return form.clock
    schedule = nodes.levels[0].path.schedule

    def times(y: Floats) -> Floats:
        found: Floats = schedule.inverse(torch.from_numpy(2 * y)).numpy()
        return found

    return times


def multistep(form: Form, predict: Rule, correct: Rule | None = None) -> Callable[[Sequence[Level]], list[Move]]:
    """The plan of a method that is linear in the slopes."""

    def plan(levels: Sequence[Level]) -> list[Move]:
        first = 0 if inner(levels[0]) else 1
        last = len(levels) - (0 if inner(levels[-1]) else 1)
        nodes = Nodes.of(levels[first:last])
        moves = [plain(levels[1])] * first
        predicted = predict(nodes)
        corrected = predicted if correct is None else correct(nodes)
        for i, weights in enumerate(predicted):
            if correct is not None and i > 0:
                weights = _sum(weights, _difference(corrected[i - 1], predicted[i - 1]))
            moves.append(_move(form, nodes.levels, i, weights))
        return moves + [plain(levels[-1])] * (len(levels) - 1 - len(moves))

    return plan


def _move(form: Form, levels: Sequence[Level], i: int, weights: Weights) -> Move:
    """g_s (z_t + sum_j w_j F_j)."""
    here, to = levels[i], levels[i + 1]
    g, keep = form.gauge(to), form.gauge(to) / form.gauge(here)
    terms = []
    for j in sorted(weights, reverse=True):
        a, b = form.row(levels[j])
        own = (keep * here.alpha, keep * here.sigma) if j == i else (0.0, 0.0)
        terms.append(Term(i - j, own[0] + g * weights[j] * a, own[1] + g * weights[j] * b))
    return Move(to, tuple(terms))


def _sum(one: Weights, other: Weights) -> Weights:
    return {j: one.get(j, 0.0) + other.get(j, 0.0) for j in {*one, *other}}


def _difference(one: Weights, other: Weights) -> Weights:
    return _sum(one, {j: -w for j, w in other.items()})


def exponential_adams(form: str, order: int, variable: str, corrected: bool) -> Solver:
    """Adams-Bashforth of this order in this form; corrected, it is of one order more."""
    name = f"{form}ab{order}{'c' if corrected else ''}"
    correct = adams(FORMS[form], order, variable, ahead=1) if corrected else None
    return Solver(name, multistep(FORMS[form], adams(FORMS[form], order, variable), correct), order + corrected)
