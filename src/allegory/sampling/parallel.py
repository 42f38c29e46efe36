r"""Parallel in time: all states of a deterministic plan at once, for whoever has many cores.

The states of a plan satisfy x_{i+1} = M_i(x_i, predictions so far), each prediction a network's answer to one state. PicardResult's
iteration asks for all predictions in one batch, at the states of the last round, and makes all moves again:

    predictions^k = predict(x_0^k, ..., x_{N-1}^k),          x_{i+1}^{k+1} = M_i(x_i^{k+1}, predictions^k).

After k rounds the first k states are those of the walk one by one, exactly, so N rounds are always enough; it stops when
no state of an item moves by more than the tolerance any longer (Shih et al. 2023, ParaDiGMS). A round costs N
evaluations, but of one batch: it pays where the device has room for it.
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
from .solver import Solver, Update


@dataclass(frozen=True, eq=False)
class PicardResult:
    """The last states, and after how many rounds each item stood still."""

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
    """The result of `sample`, by Picard iteration over all steps of a deterministic solver (Shih et al. 2023).

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at the grid's first Level.
        grid: a Grid made for predict.path, or times from 1 down to 0.
        solver: a deterministic Solver or its name.
        tolerance: an item is done when none of its states changes by more than this, root mean square, in a round.
        condition: passed to predict; None for no condition.

    Returns:
        The samples, and the rounds that each item took.

    Raises:
        ValueError: for a stochastic solver or a tolerance below 0.
    """
    solver = solver_named(solver)
    if solver.stochastic:
        raise ValueError(
            f"solver {solver.name!r} draws noise; Picard iteration needs a deterministic one, such as auto"
        )
    if not tolerance >= 0:
        raise ValueError(f"tolerance={tolerance}; give 0 (exact, as many rounds as steps) or more")
    grid = as_grid(predict, grid)
    moves = solver.updates(grid.levels)
    levels = [grid.levels[0], *(move.to for move in moves[:-1])]
    x = x_T
    states = x.expand(len(moves) + 1, *x.shape).clone()
    rounds, active = torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x), device=x.device)
    while len(active) > 0:
        before = states[:, active]
        predictions = _ask(
            predict, before[:-1], levels, None if condition is None else condition[active]
        )
        after = _apply_all(moves, before[0], predictions)
        states[:, active] = after
        rounds[active] += 1
        moved = (
            (after - before).double().square().reshape(*after.shape[:2], -1).mean(2).sqrt().amax(0)
        )
        active = active[(moved > tolerance) & (rounds[active] < len(moves))]
    return PicardResult(states[-1], rounds)


def _ask(
    predict: Predict,
    states: Float[Tensor, "n b *shape"],
    levels: Sequence[Level],
    condition: Tensor | None,
) -> list[Prediction]:
    """The predictions of all states, from one call: step i is at levels[i]."""
    n, b = states.shape[:2]
    times = torch.tensor([level.t for level in levels], dtype=torch.float64, device=states.device)
    flat = states.flatten(0, 1)
    condition = None if condition is None else condition.repeat(n, *(1,) * (condition.ndim - 1))
    prediction = predict(flat, predict.path.at(times.repeat_interleave(b), like=flat), condition)
    targets = prediction.targets
    return [
        Prediction(u, y, targets, level)
        for u, y, level in zip(
            prediction.u.unflatten(0, (n, b)),
            prediction.y.unflatten(0, (n, b)),
            levels,
            strict=True,
        )
    ]


def _apply_all(
    moves: Sequence[Update], x: Tensor, predictions: Sequence[Prediction]
) -> Float[Tensor, "n b *shape"]:
    """All states, by these predictions."""
    history = new_history(max(move.history_length for move in moves), x, False)
    states = [x]
    for move, prediction in zip(moves, predictions, strict=True):
        for x0, eps in move.store:
            history.store(prediction, x0, eps)
        x = move.combine(x, prediction, history, [])
        states.append(x)

    return torch.stack(states)
