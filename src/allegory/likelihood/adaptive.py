r"""Embedded Runge-Kutta pairs, and the control of a step for each item of a batch.

A pair of n stages makes, from the slopes k_j at the nodes c_j of a step h,

    state_i = state + h sum_{j<i} a_ij k_j            k_i = slope(t + c_i h, state_i)
    error   = h sum_j e_j k_j                          the difference of two results, of orders q + 1 and q

Both pairs here end on the result itself (c_n = 1, a_n = b), so its slope is the first of the next step: n - 1
evaluations a step. The step that follows an error e at tolerance tau is h (tau/e)^(1/(q+1)), with a margin
(Hairer, Norsett & Wanner 1993, section II.4). Every item has its own h and e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MARGIN, SHRINK, GROW = 0.9, 0.25, 4.0


@dataclass(frozen=True)
class Pair:
    """An embedded pair whose last stage is the result. `order` is that of the lower result."""

    name: str
    order: int
    nodes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    errors: tuple[float, ...]

    @cached_property
    def quadrature(self) -> tuple[bool, ...]:
        """Whether a stage enters the result or the error: if not, a pure integral need not be evaluated there."""
        weights = (*self.rows[-1], 0.0)
        return tuple(b != 0 or e != 0 for b, e in zip(weights, self.errors, strict=True))


BOGACKI_SHAMPINE = Pair(
    "bs32", 2, (0, 1 / 2, 3 / 4, 1), ((1 / 2,), (0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)), (-5 / 72, 1 / 12, 1 / 9, -1 / 8)
)
"""Order 3(2), three evaluations a step (Bogacki & Shampine 1989)."""

DORMAND_PRINCE = Pair(
    "dp54",
    4,
    (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)
"""Order 5(4), six evaluations a step (Dormand & Prince 1980)."""

PAIRS = {pair.name: pair for pair in (BOGACKI_SHAMPINE, DORMAND_PRINCE)}


def combine(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """sum_j w_j k_j, without the terms whose weight is 0."""
    kept = [w * k for w, k in zip(weights, slopes, strict=True) if w != 0]
    return torch.stack(kept).sum(0) if kept else torch.zeros_like(slopes[0])


def next_width(
    pair: Pair, width: Float[Tensor, " b"], error: Float[Tensor, " b"], tolerance: float
) -> tuple[Float[Tensor, " b"], Bool[Tensor, " b"]]:
    """The width to try next, and whether the step stands. An error that is not a number is as bad as can be."""
    stands = error <= tolerance
    factor = MARGIN * (tolerance / error.clamp(min=1e-300)).pow(1 / (pair.order + 1))
    factor = torch.where(error.isfinite(), factor, SHRINK).clamp(SHRINK, GROW)
    return width * factor, stands
