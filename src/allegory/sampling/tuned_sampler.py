"""A plan with numbers of its own, fitted to one model: what `tune` returns, and its written form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..process.grid import Grid
from ..process.path import Level, Path
from .solver import Solver, Update


@dataclass(frozen=True, eq=False)
class TunedSampler:
    """A plan fitted to one model and one number of steps, and the median error of held-out items before and after."""

    grid: Grid
    moves: tuple[Update, ...]
    before: float
    after: float

    @property
    def solver(self) -> Solver:
        """For `sample(predict, x_T, tuned.grid, solver=tuned.solver)`. ValueError on any other grid."""
        return Solver("tuned", lambda levels: self.moves).planned(self.grid.levels)

    def to_dict(self) -> dict[str, Any]:
        """Numbers alone: times of the nodes, times that the network is told, and each move."""
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
        """What `to_dict` wrote, on the same path. KeyError, TypeError or ValueError when it is something else."""
        if (
            content["ends"] != list(path.schedule.ends)
            or len(content["nodes"]) != len(content["asked"]) + 1
        ):
            raise ValueError("it was made for another path or another number of steps")
        nodes, asked = _levels(path, content, "nodes"), _levels(path, content, "asked")
        moves = [
            Update(
                to,
                state=float(m["state"]),
                store=tuple((float(a), float(b)) for a, b in m["keep"]),
                history_weights=tuple(map(float, m["kept"])),
            )
            for to, m in zip(asked, content["moves"], strict=True)
        ]
        return cls(Grid(nodes), tuple(moves), float(content["before"]), float(content["after"]))


def _levels(path: Path, content: dict[str, Any], name: str) -> tuple[Level, ...]:
    levels = path.levels(torch.tensor(content[name], dtype=torch.float64))
    return (*levels[:-1], path.clean) if content["clean"] else levels
