r"""What a plan keeps: combinations a x0 + b eps of earlier predictions, and their sum.

On a CPU they stand in one buffer, and a step is one matrix-vector product: half the time of adding them one by one. With
gradients, in inference mode, in half precision and on a device (where coefficients must be arguments of a kernel, not
memory that has to be sent there) they are a list.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..process.coefficients import Coefficient, Term, weighted_sum
from ..process.prediction import Prediction


@runtime_checkable
class History(Protocol):
    """The last combinations, newest first."""

    def keep(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        """Remember x0 times its x0 plus eps times its eps."""

    def add(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        """The sum of the base, and of as many combinations as there are weights."""


class ListHistory:
    """Each a tensor of its own."""

    def __init__(self, count: int) -> None:
        self.rows: deque[Tensor] = deque(maxlen=count)

    def keep(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        self.rows.append(prediction.combine(x0, eps))

    def add(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        return weighted_sum(*base, *((w, self.rows[-1 - j]) for j, w in enumerate(weights)))


class BufferHistory:
    """All in one buffer, used round and round; weights are floats.

    p u + q y is kept as u + (q/p) y, or y + (p/q) u, which is one pass over memory, and its p or q as a scale.
    """

    def __init__(self, count: int, like: Tensor) -> None:
        self.rows = like.new_empty(count, *like.shape)
        self.columns = self.rows.flatten(1).T
        self.scales = [0.0] * count
        self.newest, self.filled = -1, 0

    def keep(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        self.newest = (self.newest + 1) % len(self.scales)
        self.filled = max(self.filled, self.newest + 1)
        (p, u), (q, y) = ((float(c), tensor) for c, tensor in prediction.terms(x0, eps))
        if abs(p) < abs(q):
            (p, u), (q, y) = (q, y), (p, u)
        row, self.scales[self.newest] = self.rows[self.newest], p
        if q == 0.0:
            row.copy_(u)  # and not 0 y, which is no number where y is infinite
        else:
            torch.add(u, y, alpha=q / p, out=row)

    def add(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        placed = [0.0] * self.filled
        for j, w in enumerate(weights):
            placed[self.newest - j] = float(w) * self.scales[self.newest - j]
        c = torch.tensor(placed, dtype=self.rows.dtype)
        (scale, x), *more = base
        total = torch.addmv(x.flatten(), self.columns[:, : self.filled], c, beta=float(scale)).view(
            x.shape
        )
        return total if not more else total.add_(weighted_sum(*more))


def new_history(count: int, like: Tensor, grad: bool) -> History:
    """Room for this many."""
    plain = like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64)
    inference = not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()
    if plain and count and not grad and not inference:
        return BufferHistory(count, like)
    return ListHistory(count)
