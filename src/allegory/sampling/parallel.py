r"""Parallel sampling by Picard iteration: all states of a plan at once (Shih et al. 2023).

The states of a plan satisfy x_{i+1} = M_i(x_i, predictions so far), where M_i is update i. Each
round predicts at all states of the last round in one batch, and applies all updates again:

    predictions^k = predict(x_0^k, ..., x_{N-1}^k),   x_{i+1}^{k+1} = M_i(x_i^{k+1}, predictions^k).

After k rounds the first k states are those of sequential sampling, exactly, so N rounds are always
enough. It stops when no state of an item changes by more than the tolerance. A round costs N
evaluations, in one batch: it pays where the device has room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..process.grid import Grid
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .driver import as_grid
from .history import new_history
from .registry import solver_named
from .solver import Solver, Update, check_plan


@dataclass(frozen=True, eq=False)
class PicardResult:
    """The result of `picard`.

    Args:
        x: the last states, shape (b, *shape).
        rounds: how many rounds each item took.
    """

    x: Float[Tensor, "b *shape"]
    rounds: Int64[Tensor, " b"]


@torch.no_grad()
def picard(
    predict: Predict,
    x_T: Float[Tensor, "b *shape"],
    grid: Grid | Sequence[float] | Tensor,
    *,
    solver: str | Solver = "dpmpp2m",
    tolerance: float = 1e-3,
    condition: Tensor | None = None,
) -> PicardResult:
    """The result of `sample` by Picard iteration over all steps (Shih et al. 2023).

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at the grid's first Level.
        grid: a Grid made for predict.path, or times from 1 down to 0.
        solver: a deterministic Solver or its name.
        tolerance: an item is done when none of its states changes by more than this, root mean
            square, in a round.
        condition: passed to predict; None for no condition.

    Returns:
        The samples, and the rounds that each item took.

    Raises:
        ValueError: for a stochastic solver or a tolerance below 0.
    """
    solver = solver_named(solver)
    if solver.stochastic:
        raise ValueError(
            f"solver {solver.name!r} draws noise; "
            "Picard iteration needs a deterministic one, such as auto"
        )
    if not tolerance >= 0:
        raise ValueError(f"tolerance={tolerance}; give 0 (exact, as many rounds as steps) or more")
    grid_levels = as_grid(predict, grid).levels
    updates = solver.updates(grid_levels)
    check_plan(predict, updates)
    levels = [grid_levels[0], *(update.to for update in updates[:-1])]

    states = x_T.expand(len(updates) + 1, *x_T.shape).clone()
    rounds = torch.zeros(len(x_T), dtype=torch.int64)
    active = torch.arange(len(x_T), device=x_T.device)
    while len(active) > 0:
        before = states[:, active]
        own = None if condition is None else condition[active]
        after = _apply_all(updates, before[0], _predict_all(predict, before[:-1], levels, own))

        states[:, active] = after
        rounds[active] += 1
        unfinished = (_largest_change(before, after) > tolerance) & (rounds[active] < len(updates))
        active = active[unfinished]
    return PicardResult(states[-1], rounds)


def _largest_change(
    before: Float[Tensor, "n b *shape"], after: Float[Tensor, "n b *shape"]
) -> Float[Tensor, " b"]:
    """The root mean square change of each item's state, the largest over the states."""
    squared = (after - before).double().square()
    return squared.reshape(*after.shape[:2], -1).mean(2).sqrt().amax(0)


def _predict_all(
    predict: Predict,
    states: Float[Tensor, "n b *shape"],
    levels: Sequence[Level],
    condition: Tensor | None,
) -> list[Prediction]:
    """The predictions at all states, from one call: state i is at levels[i]."""
    n, b = states.shape[:2]
    flat = states.flatten(0, 1)
    times = torch.tensor([level.t for level in levels], dtype=torch.float64, device=states.device)
    if condition is not None:
        condition = condition.repeat(n, *(1,) * (condition.ndim - 1))

    prediction = predict(flat, predict.path.at(times.repeat_interleave(b), like=flat), condition)
    us = prediction.u.unflatten(0, (n, b))
    ys = prediction.y.unflatten(0, (n, b))
    return [
        Prediction(u, y, prediction.targets, level)
        for u, y, level in zip(us, ys, levels, strict=True)
    ]


def _apply_all(
    updates: Sequence[Update], x: Tensor, predictions: Sequence[Prediction]
) -> Float[Tensor, "n b *shape"]:
    """All states, by these predictions."""
    history = new_history(max(update.history_length for update in updates), x, False)
    states = [x]
    for update, prediction in zip(updates, predictions, strict=True):
        for x0, eps in update.store:
            history.store(prediction, x0, eps)
        x = update.combine(x, prediction, history, [])
        states.append(x)

    return torch.stack(states)
