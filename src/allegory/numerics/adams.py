r"""Adams quadrature at unequal nodes, and step-size control, for each item of a batch by itself.

A multistep method replaces a slope by the polynomial through its values at nodes x_j and integrates
that over the step, here x from 0 to 1 in units of the step:

    int_0^1 k(x) dx = sum_j w_j k(x_j)          sum_j w_j x_j^i = 1/(i + 1)  for i < n,  n nodes.

With nodes x <= 0, the past, it predicts (Adams-Bashforth); with the node 1 as well it corrects
(Adams-Moulton). The rule of n nodes is exact for degree n - 1, so its step errs by O(h^{n+1}), and
two rules of n and n + 1 nodes differ by as much: the step after an error e at tolerance tau is
h (tau/e)^{1/(n+1)}, with a margin (Hairer, Norsett & Wanner 1993, II.4, III.5).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from .broadcast import expand_like

SAFETY = 0.9
"""What the step that the error allows is multiplied by."""
MIN_STEP_RATIO = 0.25
"""The least that one step may be multiplied by to give the next."""
MAX_STEP_RATIO = 3.0
"""The most that one step may be multiplied by to give the next."""


def adams_weights(nodes: Float[Tensor, "b n"], used: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """The weights w_j of an Adams rule per item, in units of the step.

    Args:
        nodes: x_j, the present at 0; those that are used must differ.
        used: which nodes the rule of an item has. The weights of the others are 0.
    """
    power = torch.arange(nodes.shape[1], device=nodes.device)
    needed = power < used.sum(1, keepdim=True)  # as many moments as nodes
    moments = torch.where(used[:, None], nodes[:, None] ** power[:, None], 0.0)

    # The k-th equation that is not needed becomes: the weight of the k-th unused node is 0.
    equation_rank = (~needed).long().cumsum(1) - 1
    node_rank = (~used).long().cumsum(1) - 1
    same_rank = equation_rank[:, :, None] == node_rank[:, None]
    is_zero = ~needed[:, :, None] & ~used[:, None] & same_rank

    system = torch.where(needed[:, :, None], moments, is_zero.to(nodes))
    integrals = torch.where(needed, 1.0 / (power + 1), 0.0).to(nodes)
    weights: Tensor = torch.linalg.solve(system, integrals)

    return weights


def combine(weights: Float[Tensor, "b n"], slopes: list[Tensor]) -> Tensor:
    """sum_j w_j k_j per item: `weights` (batch, n) times a list of n `slopes` like the data."""
    terms = [expand_like(w, k) * k for w, k in zip(weights.unbind(1), slopes, strict=True)]
    return torch.stack(terms).sum(0)


def next_step(
    step: Float[Tensor, " b"],
    error: Float[Tensor, " b"],
    tolerance: float,
    order: Int64[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """The step to try next, per item.

    Args:
        step: the step that was tried.
        error: its error; one that is not finite counts as very large.
        tolerance: the error that a step may have.
        order: n of an error of order h^(n + 1).
    """
    ratio = SAFETY * (tolerance / error.clamp(min=1e-300)) ** (1 / (order.to(step) + 1))
    ratio = torch.where(error.isfinite(), ratio, MIN_STEP_RATIO)
    return step * ratio.clamp(MIN_STEP_RATIO, MAX_STEP_RATIO)
