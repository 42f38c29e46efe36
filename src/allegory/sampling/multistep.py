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

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from ..process.path import Level
from .flow_forms import FLOW_FORMS, FlowForm, LambdaNodes
from .quadrature_rules import WeightRule, adams_rule
from .single_step import ddim_update, has_signal_and_noise
from .solver import Solver, Update


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
            updates += form_updates(form, nodes.levels, weights)

        missing = len(levels) - 1 - len(updates)
        return updates + [ddim_update(levels[-1])] * missing

    return plan


def form_updates(
    form: FlowForm, levels: Sequence[Level], weights: Float[Tensor, "steps count"]
) -> list[Update]:
    """g_s (z_t + sum_j w_j F_j), and a draw where the form is of an SDE.

    Args:
        form: whose slopes F are summed.
        levels: of the nodes, steps + 1 of them.
        weights: newest slope first, as of `predictor_corrector_weights`.
    """
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
