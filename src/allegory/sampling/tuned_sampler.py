"""A tuned sampler: a plan fitted to one model and one number of steps, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..process.grid import Grid
from ..process.path import Level, Path
from .solver import Solver, Update


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
            "ends": list(self.grid.levels[0].path.schedule.ends),
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
            KeyError: for a field that is missing.
            TypeError: for a field of another type.
            ValueError: for another path, or lists whose lengths do not fit.
        """
        other_path = content["ends"] != list(path.schedule.ends)
        if other_path or len(content["nodes"]) != len(content["asked"]) + 1:
            raise ValueError("it was made for another path or another number of steps")

        nodes = _levels(path, content, "nodes")
        evaluated = _levels(path, content, "asked")
        moves = [
            Update(
                to,
                state=float(numbers["state"]),
                store=tuple((float(a), float(b)) for a, b in numbers["keep"]),
                history_weights=tuple(map(float, numbers["kept"])),
            )
            for to, numbers in zip(evaluated, content["moves"], strict=True)
        ]
        return cls(Grid(nodes), tuple(moves), float(content["before"]), float(content["after"]))


def _levels(path: Path, content: dict[str, Any], name: str) -> tuple[Level, ...]:
    levels = path.levels(torch.tensor(content[name], dtype=torch.float64))
    return (*levels[:-1], path.clean) if content["clean"] else levels
