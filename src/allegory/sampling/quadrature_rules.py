r"""Rules of quadrature for multistep methods: Adams-Bashforth and Adams-Moulton at unequal steps.

A rule gives, for each step of a grid, the weights of the slopes in the integral of a polynomial
through them. The slope is that of a form of the flow (`flow_forms`), and the polynomial may be one
in another variable than the form's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..lookup import pick
from ..numerics.quadrature import gauss_legendre
from .flow_forms import FlowForm, LambdaFunction, LambdaNodes

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
    numerator, denominator = _lagrange_polynomials(nodes, exists, place(at))
    return exists * (dc[:, None] * numerator).sum(2) / denominator


def _lagrange_polynomials(
    nodes: Float[Tensor, "s k"], exists: Tensor, at: Float[Tensor, "s points"]
) -> tuple[Float[Tensor, "s k points"], Float[Tensor, "s k"]]:
    """Numerator and denominator of prod (at - nodes_m)/(nodes_j - nodes_m) over other existing
    m.
    """
    own = torch.eye(nodes.shape[1], dtype=torch.bool)
    factor = exists[:, :, None] & exists[:, None, :] & ~own  # (s, polynomial j, node m)

    numerators = at[:, None, None] - nodes[:, None, :, None]  # (s, 1, m, points)
    denominators = nodes[:, :, None] - nodes[:, None, :]
    return (
        torch.where(factor[..., None], numerators, 1.0).prod(2),
        torch.where(factor, denominators, 1.0).prod(2),
    )


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
    """The WeightRule of a rule (lambda of all nodes, step i) -> weights of step i."""

    def rules(nodes: LambdaNodes) -> Tensor:
        lam = nodes.lam.tolist()
        rows = [list(rule(lam, i)) for i in range(len(lam) - 1)]
        width = max(map(len, rows))
        padded = [row + [0.0] * (width - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.float64)

    return rules
