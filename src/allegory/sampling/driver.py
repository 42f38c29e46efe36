"""The driver: the one loop behind every sampler.

It owns the loop, the grad mode, the noise and the history, and yields each state. What to do is
planned for the whole grid before the first step, in Python floats, so nothing in the loop waits for
the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_type
from ..process.grid import Grid
from ..process.guide import check_consistent
from ..process.noise import Noise
from ..process.path import Level
from ..process.prediction import Predict, Prediction, check_predict
from .loop import SamplingLoop
from .mcmc.target import Draw
from .registry import solver_named
from .solver import Solver

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps in all) after each step: a progress bar."""


@dataclass(frozen=True, eq=False)
class State:
    """A state of a trajectory.

    Args:
        x: the state, shape (b, *shape).
        level: its Level.
        prediction: the last prediction before it.
    """

    x: Float[Tensor, "b *shape"]
    level: Level
    prediction: Prediction


def trajectory(
    predict: Predict,
    x_T: Float[Tensor, "b *shape"],
    grid: Grid | Sequence[float] | Tensor,
    *,
    solver: str | Solver = "dpmpp2m",
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    grad: bool = False,
    on_step: OnStep | None = None,
) -> Iterator[State]:
    """The states of a sampler along a grid, each as it is reached.

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at the grid's first Level, e.g. from `initial_noise`.
        grid: a Grid made for predict.path, or times from 1 down to 0.
        solver: a Solver, or a name such as "dpmpp2m" or "ddim:0.5" (see `SOLVERS`).
        condition: passed to predict; None for no condition.
        seeds: one integer per item, for the draws of a stochastic solver; None for a deterministic
            one.
        grad: whether gradients flow through the loop.
        on_step: called with (steps done, steps in all) after each step.

    Yields:
        A State per step, from the grid's second Level to its last.

    Raises:
        ValueError: for an unknown solver, a grid of another path, or seeds that do not fit.
    """
    solver = solver_named(solver)
    levels = as_grid(predict, grid).levels
    if levels[0].log_snr > levels[-1].log_snr:
        check_consistent(predict, "from data to noise", "leave the guide out")
        if solver.stochastic:
            raise ValueError(
                f"solver {solver.name!r} draws noise and cannot go from data to noise; use ddim"
            )
    check_type("x_T", x_T, Tensor, "a tensor, e.g. initial_noise(predict.path, shape, seeds)")
    draw = _draws(solver, seeds, x_T)

    loop = SamplingLoop(predict, x_T, levels[0], condition, draw)
    done = 0
    for instruction in loop.execute(solver.plan(levels), grad):
        if instruction.stage:
            continue
        done += 1
        if on_step is not None:
            on_step(done, len(levels) - 1)
        if loop.last_prediction is None:
            raise ValueError(
                f"solver {solver.name!r}: its first step makes no prediction; let an instruction "
                "call loop.prediction(), or loop.record() one of its own"
            )
        yield State(loop.x, loop.level, loop.last_prediction)


def last_state(states: Iterable[State]) -> State:
    """The last of the states of a trajectory; no other is held in memory."""
    (last,) = deque(states, maxlen=1)
    return last


def as_grid(predict: Predict, grid: Grid | Sequence[float] | Tensor) -> Grid:
    """The grid, or that of these times on predict.path. ValueError for a grid of another path."""
    check_predict(predict)
    if not isinstance(grid, Grid):
        return Grid(predict.path.levels(torch.as_tensor(grid, dtype=torch.float64)))
    if grid.levels[0].path is not predict.path:
        raise ValueError("grid: made for another path; give grid(predict.path, ...)")
    return grid


def sample(
    predict: Predict,
    x_T: Float[Tensor, "b *shape"],
    grid: Grid | Sequence[float] | Tensor,
    *,
    solver: str | Solver = "dpmpp2m",
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    grad: bool = False,
    on_step: OnStep | None = None,
) -> Float[Tensor, "b *shape"]:
    """Samples: the state that a sampler reaches at the end of a grid.

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at the grid's first Level, e.g. from `initial_noise`.
        grid: a Grid made for predict.path, or times from 1 down to 0.
        solver: a Solver, or a name such as "dpmpp2m" or "ddim:0.5" (see `SOLVERS`).
        condition: passed to predict; None for no condition.
        seeds: one integer per item, for the draws of a stochastic solver; None for a deterministic
            one.
        grad: whether gradients flow through the loop.
        on_step: called with (steps done, steps in all) after each step.

    Returns:
        Shape (b, *shape): the last state of `trajectory`.

    Raises:
        ValueError: for an unknown solver, a grid of another path, or seeds that do not fit.
    """
    x = x_T
    for state in trajectory(
        predict,
        x,
        grid,
        solver=solver,
        condition=condition,
        seeds=seeds,
        grad=grad,
        on_step=on_step,
    ):
        x = state.x

    return x


def invert(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    grid: Grid | Sequence[float] | Tensor,
    *,
    solver: str | Solver = "dpmpp2m",
    condition: Tensor | None = None,
) -> Float[Tensor, "b *shape"]:
    """DDIM inversion: the x_T whose sample is x0 (Song et al. 2020, section 5.4).

    The solver takes the steps of the grid in reverse. Sampling from the result gives back alpha(0)
    x0, with an error that falls with the number of steps.

    Args:
        predict: the network, oracle or guided Predict.
        x0: shape (b, *shape), the clean data.
        grid: a Grid with end="min" made for predict.path, or times from 1 down to 0; the grid of
            the sampling.
        solver: a deterministic Solver or its name.
        condition: passed to predict; None for no condition.

    Returns:
        x_T, shape (b, *shape).

    Raises:
        ValueError: for a stochastic solver, or a grid that ends in clean data.
    """
    solver = solver_named(solver)
    if solver.stochastic:
        raise ValueError(
            f"solver {solver.name!r} draws noise and cannot be inverted; "
            "use ddim, heun, dpmpp2m or vab4c"
        )
    back = as_grid(predict, grid).reversed()
    return sample(predict, back.levels[0].alpha * x0, back, solver=solver, condition=condition)


def _draws(solver: Solver, seeds: Sequence[int] | None, x: Tensor) -> Draw:
    if not solver.stochastic:
        return torch.zeros_like
    if seeds is None or len(seeds) != len(x):
        given = "none" if seeds is None else str(len(seeds))
        raise ValueError(
            f"seeds: {given} for {len(x)} items; solver {solver.name!r} needs one per item, "
            f"e.g. range({len(x)})"
        )
    return Noise(seeds, x.shape[1:]).draw
