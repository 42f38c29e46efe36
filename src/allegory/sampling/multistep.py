r"""Multistep methods: one evaluation per step, and the last few predictions.

In a form of the flow (`flow_forms`) with dz/dc = F, a method is a rule of quadrature for the
integral of F over a step. **Adams-Bashforth** integrates the polynomial through the last k slopes
F; the variable in which it is a polynomial is a choice of its own (log-SNR, the form's time c, u =
sigma/alpha, or t). A **corrector** costs no evaluation: once the slope at the new node is known,
the same interval is integrated again by the polynomial through that node too, and the state moves
by the difference while the network is not evaluated a second time (UniC, Zhao et al. 2023). Both
are linear in the slopes. With weights P of the predictor and C of the corrector the next state is

    z_{i+1} = z_i + sum_j (C_{i-1,j} - P_{i-1,j}) F_j + sum_j P_{i,j} F_j.

Where the path has no signal or no noise, log-SNR is infinite, but the times of the v and the flow
form are not: a polynomial in them continues to the very end. The others make a DDIM step there, and
store no slope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from ..lookup import pick
from ..numerics.quadrature import gauss_legendre
from ..process.path import Level
from .flow_forms import FLOW_FORMS, FlowForm, LambdaFunction, LambdaNodes
from .single_step import ddim_update, has_signal_and_noise
from .solver import Solver, Update

WeightRule = Callable[[LambdaNodes], Tensor]
"""From nodes to weights, shape (steps, count), float64.

Row i multiplies the slopes in the integral from node i to node i + 1, newest first. An implicit
rule begins with the slope at node i + 1, others with that at node i.
"""

_QUADRATURE_POINTS = 64

_LONGEST_EXTRAPOLATION = 1.5
"""A last step to clean data that is longer than this times the step before it is of order one."""

_VARIABLES = ("log_snr", "form_time", "u", "t")


def adams_rule(form: FlowForm, order: int, variable: str, implicit: bool = False) -> WeightRule:
    """Adams-Bashforth, or with `implicit` Adams-Moulton, weights at unequal steps.

    Args:
        form: the form whose slope is integrated.
        order: how many past slopes the polynomial passes through; the first steps have fewer.
        variable: that of the polynomial, "log_snr", "form_time", "u" (sigma/alpha) or "t".
        implicit: whether the polynomial also passes through the slope at node i + 1.

    Returns:
        A rule whose rows have order + implicit weights; a slope that does not exist yet has weight
        0.

    Raises:
        ValueError: for an order below 1 or an unknown variable.
    """
    if order < 1:
        raise ValueError(f"order={order}; give a whole number, at least 1")
    pick("variable", variable, dict.fromkeys(_VARIABLES))

    def rule(nodes: LambdaNodes) -> Tensor:
        steps = torch.arange(len(nodes.lam) - 1)
        used = steps[:, None] + torch.arange(int(implicit), -order, -1)
        weights = _polynomial_integrals(form, _place(variable, form, nodes), nodes.lam, used)

        reaches_clean_data = nodes.levels[-1].sigma == 0.0
        if variable == "form_time" and not implicit and reaches_clean_data:
            return _last_step_to_clean(form.time(nodes.lam), weights)
        return weights

    return rule


def _place(variable: str, form: FlowForm, nodes: LambdaNodes) -> LambdaFunction:
    """The variable of the polynomial as a function of lambda."""
    if variable == "log_snr":
        return lambda lam: lam
    if variable == "form_time":
        return form.time
    if variable == "u":
        return lambda lam: (-lam).exp()

    schedule = nodes.levels[0].path.schedule
    return lambda lam: schedule.inverse(2 * lam)


@cache
def _quadrature() -> tuple[Tensor, Tensor]:
    """Points in [-1, 1] and their weights."""
    return gauss_legendre(_QUADRATURE_POINTS, -1.0, 1.0)


def _polynomial_integrals(
    form: FlowForm,
    place: LambdaFunction,
    lam: Float[Tensor, " n"],
    used: Int64[Tensor, "n-1 k"],
) -> Float[Tensor, "n-1 k"]:
    """int L_j dc over each step, L_j the Lagrange polynomial of used node j.

    Args:
        form: gives dc.
        place: the variable of the polynomials, as a function of lambda.
        lam: the nodes.
        used: the nodes of each step's polynomials; a negative number is a node that does not exist.
    """
    points, weights = _quadrature()
    start = lam[:-1, None]
    end = lam[1:, None]
    at = (start + end) / 2 + (end - start) / 2 * points  # (steps, points)
    dc = (end - start) / 2 * weights * form.dtime_dlambda(at)

    exists = used >= 0
    nodes = place(lam)[used.clamp(min=0)]
    basis = _lagrange_basis(nodes, exists, place(at))
    return (dc[:, None] * basis).sum(2)


def _lagrange_basis(
    nodes: Float[Tensor, "s k"], exists: Tensor, at: Float[Tensor, "s points"]
) -> Float[Tensor, "s k points"]:
    """prod_{m != j} (at - nodes_m)/(nodes_j - nodes_m) over existing nodes; 0 for others."""
    own = torch.eye(nodes.shape[1], dtype=torch.bool)
    factor = exists[:, :, None] & exists[:, None, :] & ~own  # (s, polynomial j, node m)

    numerators = at[:, None, None] - nodes[:, None, :, None]  # (s, 1, m, points)
    numerator = torch.where(factor[..., None], numerators, 1.0).prod(2)
    denominator = torch.where(factor, nodes[:, :, None] - nodes[:, None, :], 1.0).prod(2)

    return exists[..., None] * numerator / denominator[..., None]


def _last_step_to_clean(
    time: Float[Tensor, " n"], weights: Float[Tensor, "n-1 k"]
) -> Float[Tensor, "n-1 k"]:
    """The weights with a last step of order two, or of order one where it is far longer.

    Beyond t = 0 nothing corrects a polynomial, and a network's slopes are noisy there: one of high
    order, extrapolated over several steps' length, would amplify that many times over.
    """
    step = time[-1] - time[-2]
    last = torch.zeros_like(weights[-1])
    last[0] = step

    if len(time) > 2 and len(last) > 1:
        before = time[-2] - time[-3]
        if step / before < _LONGEST_EXTRAPOLATION:
            change = step * step / (2 * before)
            last[0] = step + change
            last[1] = -change

    return torch.cat([weights[:-1], last[None]])


def per_step(rule: Callable[[Sequence[float], int], Sequence[float]]) -> WeightRule:
    """The WeightRule of a function (lambda of all nodes, step i) -> weights of step i."""

    def rules(nodes: LambdaNodes) -> Tensor:
        lam = nodes.lam.tolist()
        rows = [list(rule(lam, i)) for i in range(len(lam) - 1)]
        width = max(map(len, rows))
        padded = [row + [0.0] * (width - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.float64)

    return rules


def predictor_corrector_weights(
    nodes: LambdaNodes, predictor: WeightRule, corrector: WeightRule | None
) -> Float[Tensor, "steps count"]:
    """P_i + C_{i-1} - P_{i-1}: the weights of the whole step i, newest slope first.

    Args:
        nodes: the nodes of the grid.
        predictor: an explicit rule, P.
        corrector: an implicit rule, C; None for no corrector.

    Returns:
        Shape (steps, count), float64.
    """
    P = predictor(nodes)
    if corrector is None:
        return P

    C = corrector(nodes)
    # The corrector's newest slope is one newer than the predictor's, so P moves one column on.
    change = C - pad(P, (1, C.shape[1] - P.shape[1] - 1))
    of_last_step = pad(change[:-1], (0, 0, 1, 0))
    return pad(P, (0, change.shape[1] - P.shape[1])) + of_last_step


def multistep(
    form: FlowForm,
    predictor: WeightRule,
    corrector: WeightRule | None = None,
    reaches_ends: bool = False,
) -> Callable[[Sequence[Level]], list[Update]]:
    """The plan of a method that is linear in the slopes of a form.

    Args:
        form: the form of the flow or of an SDE.
        predictor: an explicit rule.
        corrector: an implicit rule; None for no corrector.
        reaches_ends: whether the rules hold where there is no signal or no noise; DDIM steps are
            taken there otherwise.

    Returns:
        From Levels to updates, one per step.
    """

    def plan(levels: Sequence[Level]) -> list[Update]:
        first = 0 if reaches_ends or has_signal_and_noise(levels[0]) else 1
        last = len(levels) - (0 if reaches_ends or has_signal_and_noise(levels[-1]) else 1)
        nodes = LambdaNodes.of(levels[first:last])

        updates = [ddim_update(levels[1])] * first
        if len(nodes.lam) > 1:
            weights = predictor_corrector_weights(nodes, predictor, corrector)
            updates += _updates(form, nodes.levels, weights)

        missing = len(levels) - 1 - len(updates)
        return updates + [ddim_update(levels[-1])] * missing

    return plan


def _updates(
    form: FlowForm, levels: Sequence[Level], weights: Float[Tensor, "steps count"]
) -> list[Update]:
    """g_s (z_t + sum_j w_j F_j), and a draw where the form is of an SDE."""
    updates = []
    for i, row in enumerate(weights.tolist()):
        here = levels[i]
        to = levels[i + 1]
        g = form.scale(to)
        updates.append(
            Update(
                to,
                state=g / form.scale(here),
                store=(form.slope(here),),
                history_weights=tuple(g * weight for weight in row[: i + 1]),
                noise=() if form.noise_std is None else (form.noise_std(here, to),),
            )
        )
    return updates


def exponential_adams(form: str, order: int, variable: str, corrected: bool) -> Solver:
    """Exponential Adams-Bashforth: `vab3` in the v form with order 3, `vab3c` with a corrector.

    Args:
        form: a name in `FLOW_FORMS`.
        order: of the predictor; with a corrector the method is of one order more.
        variable: that of the polynomial, see `adams_rule`.
        corrected: whether there is a corrector.

    Returns:
        The solver.
    """
    own = FLOW_FORMS[form]
    predictor = adams_rule(own, order, variable)
    corrector = adams_rule(own, order, variable, implicit=True) if corrected else None

    plan = multistep(own, predictor, corrector, reaches_ends=variable == "form_time")
    name = f"{form}ab{order}{'c' if corrected else ''}"
    return Solver(name, plan, order + corrected)
