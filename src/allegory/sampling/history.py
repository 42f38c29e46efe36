r"""History of earlier predictions, combinations a x0 + b eps, for multistep methods.

On the CPU it is one preallocated buffer, so that a step is a single matrix-vector product: half the
time of adding the combinations one by one. With gradients, in inference mode, in half precision and
on a device (where coefficients must be arguments of a kernel, not memory that has to be sent there)
it is a list of tensors.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ..process.coefficients import Coefficient, Term, weighted_sum
from ..process.instruction import History
from ..process.prediction import Prediction


class ListHistory:
    """A history with a tensor per combination.

    Args:
        count: how many combinations are kept.
    """

    def __init__(self, count: int) -> None:
        self._stored: deque[Tensor] = deque(maxlen=count)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def store(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        """Append x0 times the prediction's x0 plus eps times its eps."""
        self._stored.append(prediction.combine(x0, eps))

    def weighted_sum(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        """The sum of `base` and of the stored combinations times `weights`, newest first."""
        _check(len(weights), len(self._stored))
        stored = ((weight, self._stored[-1 - j]) for j, weight in enumerate(weights))
        return weighted_sum(*base, *stored)


class BufferHistory:
    """A history in one ring buffer, for weights that are floats.

    p u + q y is stored as u + (q/p) y, or y + (p/q) u, which is one pass over memory, with p or q
    as its scale.

    Args:
        count: how many combinations are kept.
        like: a state, for shape, dtype and device.
    """

    def __init__(self, count: int, like: Tensor) -> None:
        self._stored = like.new_empty(count, *like.shape)
        self._columns = self._stored.flatten(1).T
        self._scales = [0.0] * count
        self._newest = -1
        self._filled = 0

    def __len__(self) -> int:
        return len(self._scales)

    def store(self, prediction: Prediction, x0: Coefficient, eps: Coefficient) -> None:
        """Write x0 times the prediction's x0 plus eps times its eps over the oldest combination."""
        self._newest = (self._newest + 1) % len(self._scales)
        self._filled = max(self._filled, self._newest + 1)

        (p, u), (q, y) = ((float(c), tensor) for c, tensor in prediction.terms(x0, eps))
        if abs(p) < abs(q):
            (p, u), (q, y) = (q, y), (p, u)

        slot = self._stored[self._newest]
        self._scales[self._newest] = p
        if q == 0.0:
            slot.copy_(u)  # adding 0 y would give NaN where y is infinite
        else:
            torch.add(u, y, alpha=q / p, out=slot)

    def weighted_sum(self, weights: tuple[Coefficient, ...], base: list[Term]) -> Tensor:
        """The sum of `base` and of the stored combinations times `weights`, newest first."""
        _check(len(weights), self._filled)
        by_slot = [0.0] * self._filled
        for j, weight in enumerate(weights):
            by_slot[self._newest - j] = float(weight) * self._scales[self._newest - j]
        coefficients = torch.tensor(by_slot, dtype=self._stored.dtype)

        (scale, x), *more = base
        columns = self._columns[:, : self._filled]
        total = torch.addmv(x.flatten(), columns, coefficients, beta=float(scale)).view(x.shape)
        return total.add_(weighted_sum(*more)) if more else total


def _check(read: int, stored: int) -> None:
    """ValueError for an update that reads more combinations than are stored."""
    if read > stored:
        raise ValueError(
            f"history_weights: {read}, where {stored} combinations are stored; "
            "give the first updates fewer"
        )


def new_history(count: int, like: Tensor, grad: bool) -> History:
    """An empty history.

    Args:
        count: how many combinations are kept.
        like: a state, for shape, dtype and device.
        grad: whether gradients flow through it.
    """
    full_precision = like.dtype in (torch.float32, torch.float64)
    inference = not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()

    if count and like.device.type == "cpu" and full_precision and not grad and not inference:
        return BufferHistory(count, like)
    return ListHistory(count)
