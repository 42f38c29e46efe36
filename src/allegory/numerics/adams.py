r"""Adams quadrature at unequal nodes, and the control of a step, for each item of a batch by itself.

A multistep method replaces a slope by the polynomial through its values at nodes x_j and integrates that over the step,
here x from 0 to 1 in units of the step:

    int_0^1 k(x) dx = sum_j w_j k(x_j)          sum_j w_j x_j^i = 1/(i + 1)  for i < n,  n nodes.

With nodes x <= 0, the past, it predicts (Adams-Bashforth); with the node 1 as well it corrects (Adams-Moulton). The
rule of n nodes is exact for degree n - 1, so its step errs by O(h^{n+1}), and two rules of n and n + 1 nodes differ by
as much: the step after an error e at tolerance tau is h (tau/e)^{1/(n+1)}, with a margin (Hairer, Norsett & Wanner
1993, II.4, III.5).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from .broadcast import expand_like

MARGIN, SHRINK, GROW = 0.9, 0.25, 3.0


def adams(nodes: Float[Tensor, "b n"], used: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """The weights of the nodes that are used, in units of the step; 0 for the others. Used nodes must differ."""
    power = torch.arange(nodes.shape[1], device=nodes.device)
    asked = power < used.sum(1, keepdim=True)  # as many moments as nodes
    moments = torch.where(used[:, None], nodes[:, None] ** power[:, None], 0.0)
    # A row that asks for nothing becomes one that sets an unused weight to 0.
    rank = (~used).long().cumsum(1) - 1
    spare = (~asked).long().cumsum(1) - 1
    idle = ~asked[:, :, None] & ~used[:, None] & (spare[:, :, None] == rank[:, None])
    system = torch.where(asked[:, :, None], moments, idle.to(nodes))
    weights: Tensor = torch.linalg.solve(
        system, torch.where(asked, 1.0 / (power + 1), 0.0).to(nodes)
    )
    return weights


def combine(weights: Float[Tensor, "b n"], slopes: list[Tensor]) -> Tensor:
    """sum_j w_j k_j, item by item."""
    terms = [expand_like(w, k) * k for w, k in zip(weights.unbind(1), slopes, strict=True)]
    return torch.stack(terms).sum(0)


def next_width(
    width: Float[Tensor, " b"],
    error: Float[Tensor, " b"],
    tolerance: float,
    order: Int64[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """The width to try next after an error of order h^(order + 1); one that is not a number is as bad as can be."""
    factor = MARGIN * (tolerance / error.clamp(min=1e-300)) ** (1 / (order.to(width) + 1))
    return width * torch.where(error.isfinite(), factor, SHRINK).clamp(SHRINK, GROW)
