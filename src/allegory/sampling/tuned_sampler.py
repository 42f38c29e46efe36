"""A tuned sampler: a plan fitted to one model and one number of steps, and its JSON form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from ..process.grid import Grid
from ..process.path import Level, Path
from ..typed import fields_of
from .solver import Solver, Update

_NAMES = {"asked": "evaluated", "moves": "updates", "keep": "store", "kept": "history_weights"}
_MOST_STEPS = 10_000
_MOST_STORED = 8
"""Combinations of a prediction that one update stores."""
_MOST_WEIGHTS = 64
"""Stored combinations that one update reads."""


@dataclass(frozen=True, eq=False)
class TunedSampler:
    """The result of `tune`: a solver with its own grid.

    Args:
        grid: the Levels of the nodes.
        moves: the updates; each `to` is the Level at which the network is evaluated next.
        before: median error of the held-out items before tuning.
        after: the same after it.
    """

    grid: Grid
    moves: tuple[Update, ...]
    before: float
    after: float

    @property
    def solver(self) -> Solver:
        """For `sample(predict, x_T, tuned.grid, solver=tuned.solver)`; no other grid will do."""
        return Solver("tuned", lambda levels: self.moves).planned(self.grid.levels)

    def to_dict(self) -> dict[str, Any]:
        """The times of the nodes, those at which the network is evaluated, and each update."""
        return {
            "ends": _ends(self.grid.levels[0].path),
            "nodes": self.grid.times.tolist(),
            "asked": [move.to.t for move in self.moves],
            "clean": self.grid.levels[-1].sigma == 0.0,
            "moves": [
                {"state": move.state, "keep": move.store, "kept": move.history_weights}
                for move in self.moves
            ],
            "before": self.before,
            "after": self.after,
        }

    @classmethod
    def from_dict(cls, path: Path, content: dict[str, Any]) -> TunedSampler:
        """The sampler that `to_dict` wrote, on the same path.

        Args:
            path: that of the Predict.
            content: what `to_dict` returned.

        Raises:
            ValueError: for a field that is missing, unknown, or of another kind, for another path,
                and for lists whose lengths do not fit.
        """
        numbers = fields_of(_Content, _renamed(content), "tuned")
        if list(numbers.ends) != _ends(path):
            raise ValueError("it was made for another path")
        numbers.check()

        nodes = _levels(path, numbers.nodes, numbers.clean)
        evaluated = _levels(path, numbers.evaluated, numbers.clean)
        updates = tuple(
            Update(to, state=each.state, store=each.store, history_weights=each.history_weights)
            for to, each in zip(evaluated, numbers.updates, strict=True)
        )
        return cls(Grid(nodes), updates, numbers.before, numbers.after)


@dataclass(frozen=True)
class _Numbers:
    """What a file says of an update."""

    state: float
    store: tuple[tuple[float, float], ...]
    history_weights: tuple[float, ...]


@dataclass(frozen=True)
class _Content:
    """What a file says of a sampler."""

    ends: tuple[float | str, float | str]
    nodes: tuple[float, ...]
    evaluated: tuple[float, ...]
    clean: bool
    updates: tuple[_Numbers, ...]
    before: float
    after: float

    def check(self) -> None:
        """ValueError for lists whose lengths do not fit, and times outside of 0 to 1."""
        steps = len(self.nodes) - 1
        lengths = {len(self.evaluated), len(self.updates)}
        if not 1 <= steps <= _MOST_STEPS or lengths != {steps}:
            raise ValueError(
                f"its {len(self.nodes)} nodes, {len(self.evaluated)} evaluations and "
                f"{len(self.updates)} updates do not fit"
            )

        stored = accumulate(len(each.store) for each in self.updates)
        for each, count in zip(self.updates, stored, strict=True):
            weights = len(each.history_weights)
            if len(each.store) > _MOST_STORED or weights > min(count, _MOST_WEIGHTS):
                raise ValueError(f"an update reads {weights} of {count} predictions")

        if not all(0 <= time <= 1 for time in (*self.nodes, *self.evaluated)):
            raise ValueError("a time is outside of 0 to 1")


def _renamed(value: Any) -> Any:
    """The JSON values of a file with the names of `_Content` for those of `to_dict`."""
    if isinstance(value, dict):
        return {_NAMES.get(name, name): _renamed(each) for name, each in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def _ends(path: Path) -> list[float | str]:
    """log-SNR at both ends; JSON has no infinity, so that is text."""
    return [end if math.isfinite(end) else str(end) for end in path.schedule.ends]


def _levels(path: Path, times: Sequence[float], clean: bool) -> tuple[Level, ...]:
    levels = path.levels(torch.tensor(times, dtype=torch.float64))
    return (*levels[:-1], path.clean) if clean else levels
