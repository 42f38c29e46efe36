"""Arithmetic of coefficients that are floats or tensors, and linear combinations with them.

A scale (alpha, sigma, a solver's coefficient) is a Python float when it is the same for the whole
batch, as it is in a sampling loop, and a tensor that broadcasts against the data when every item
has its own time, as in training. Floats make no kernel and no transfer, so a loop over precomputed
floats never waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Coefficient: TypeAlias = Tensor | float
"""A number, or a tensor that broadcasts against the data."""

Term: TypeAlias = tuple[Coefficient, Tensor]
"""One summand of a linear combination: (coefficient, tensor)."""


def zero(c: Coefficient) -> bool:
    """True for a Python 0.0 as `c`. Always False for tensors, to avoid a device synchronisation."""
    return not isinstance(c, Tensor) and c == 0.0


def weighted_sum(*terms: Term, out: Tensor | None = None) -> Tensor:
    """The linear combination sum_i c_i x_i, one fused operation per term.

    A coefficient that is the float 0 drops its term, so 0 * inf cannot spoil a limit.

    Args:
        terms: (c_i, x_i).
        out: where the result is written; None for a new tensor.
    """
    nonzero = [(c, x) for c, x in terms if not zero(c)]
    if not nonzero:
        return torch.zeros_like(terms[0][1]) if out is None else out.zero_()

    (first, x), *rest = nonzero
    total = torch.mul(x, first, out=out)

    for c, y in rest:
        if isinstance(c, Tensor):
            total = torch.addcmul(total, c.to(total.device), y, out=out)
        else:
            # `total` is a tensor of this function from the first product on.
            total = total.add_(y, alpha=c)

    return total


def _either(
    of_tensor: Callable[[Tensor], Tensor], of_float: Callable[[float], float]
) -> Callable[[Coefficient], Coefficient]:
    return lambda x: of_tensor(x) if isinstance(x, Tensor) else of_float(x)


sqrt = _either(torch.sqrt, math.sqrt)
exp = _either(torch.exp, math.exp)
log = _either(torch.log, math.log)
expm1 = _either(torch.expm1, math.expm1)


def larger(a: Coefficient, b: Coefficient) -> Coefficient:
    """max(a, b), element by element, of two floats or two tensors."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))
    return max(a, b)
