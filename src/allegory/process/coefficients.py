"""Scales: the numbers that multiply data, and the one place where they do.

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
    """Whether it is the float 0; of a tensor nobody asks, which would wait for the device."""
    return not isinstance(c, Tensor) and c == 0.0


def weighted_sum(*terms: Term, out: Tensor | None = None) -> Tensor:
    """The linear combination sum_i c_i x_i, one fused operation a term, into `out` if given.

    A coefficient that is the float 0 drops its term, so 0 * inf cannot spoil a limit.
    """
    kept = [(c, x) for c, x in terms if not zero(c)]
    if not kept:
        return torch.zeros_like(terms[0][1]) if out is None else out.zero_()
    (first, x), *rest = kept
    total = torch.mul(x, first, out=out)
    for c, y in rest:
        # `total` is ours from the first product on, so adding in place touches nobody's tensor.
        total = (
            torch.addcmul(total, c.to(total.device), y, out=out)
            if isinstance(c, Tensor)
            else total.add_(y, alpha=c)
        )
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
    """The larger of two scales of one kind, element by element."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))
    return max(a, b)
