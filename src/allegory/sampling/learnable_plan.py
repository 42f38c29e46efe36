"""The plan of a sampler with its numbers as parameters (see `tuning`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from ..process.grid import Grid, grid
from ..process.path import Level, Path
from .auto import AUTO_FORM, MAX_ORDER, auto_rules
from .flow_forms import LambdaNodes
from .multistep import predictor_corrector_weights
from .solver import Update

_SMALLEST_GAP = 1e-6


class LearnablePlan(nn.Module):
    """The numbers of a plan as parameters, initialised at `auto`.

    Args:
        path: the path that is sampled.
        steps: number of steps.
        end: what the last node is, see `process.grid`.
        dims: the numbers of an item; None for a turn of 3.
    """

    def __init__(self, path: Path, steps: int, end: str = "zero", dims: int | None = None) -> None:
        super().__init__()
        levels = grid(path, steps, "angle", end, dims).levels
        lam = LambdaNodes.of(levels).lam
        self.path = path
        self.last_level = levels[-1]
        self.last_lam = lam[-1].item()

        # All nodes but the last lie between t = 1 and t = 0; the last, clean data, may be beyond.
        self.lowest = lam[0].item()
        self.highest = min(path.schedule.ends[0] / 2, self.last_lam)
        inside = torch.cat([lam[:-1], lam.new_tensor([self.highest])])

        self.log_gaps = nn.Parameter(inside.diff().clamp(min=_SMALLEST_GAP).log())
        self.weight_correction = nn.Parameter(lam.new_zeros(steps, MAX_ORDER + 1))
        self.state_correction = nn.Parameter(lam.new_zeros(steps))
        self.condition_shift = nn.Parameter(lam.new_zeros(steps - 1))

    def forward(self) -> tuple[list[Level], list[Update]]:
        """The Levels of the nodes, and the updates, all differentiable."""
        lam = self._nodes()
        nodes = [self._level(each) for each in lam.unbind()]
        shifted = (lam[1:-1] + self.condition_shift).clamp(self.lowest, self.highest)
        evaluated = [nodes[0], *(self._level(each) for each in shifted.unbind()), self.last_level]
        weights = self._weights(LambdaNodes(tuple(nodes), lam))

        updates = []
        for i, (here, to) in enumerate(pairwise(nodes)):
            g = AUTO_FORM.scale(to)
            updates.append(
                Update(
                    evaluated[i + 1],
                    state=g / AUTO_FORM.scale(here) * (1 + self.state_correction[i]),
                    store=(AUTO_FORM.slope(evaluated[i]),),
                    history_weights=tuple(g * weight for weight in weights[i, : i + 1].unbind()),
                )
            )
        return nodes, updates

    def _nodes(self) -> Float[Tensor, " n"]:
        """lambda of the nodes, in rising order."""
        fractions = pad(self.log_gaps.softmax(0).cumsum(0), (1, 0))
        inside = self.lowest + (self.highest - self.lowest) * fractions
        return torch.cat([inside[:-1], inside.new_tensor([self.last_lam])])

    def _weights(self, nodes: LambdaNodes) -> Float[Tensor, "steps count"]:
        """Those of `auto` at these nodes, with their corrections."""
        weights = predictor_corrector_weights(nodes, *auto_rules(len(self.log_gaps)))
        dc = AUTO_FORM.time(nodes.lam).diff()[:, None]
        return pad(weights, (0, MAX_ORDER + 1 - weights.shape[1])) + self.weight_correction * dc

    def _level(self, lam: Tensor) -> Level:
        """The Level of this lambda; its time is differentiable too, for targets that use it."""
        log_snr = 2 * lam.detach()
        schedule = self.path.schedule
        t = schedule.inverse(log_snr).clamp(0, 1)

        # What is added is zero, and its gradient that of the schedule's inverse.
        t = t + (2 * lam - log_snr) / schedule.slope(t).detach()
        return Level(self.path, t, 2 * lam, torch.float64)

    @torch.no_grad()
    def numbers(self) -> tuple[Grid, tuple[Update, ...]]:
        """The grid of the nodes and the updates, as floats."""
        nodes, updates = self()
        levels = (*self._on_floats(nodes[:-1]), self.last_level)
        evaluated = (*self._on_floats([update.to for update in updates[:-1]]), self.last_level)

        plan = (_on_floats(update, to) for update, to in zip(updates, evaluated, strict=True))
        return Grid(levels), tuple(plan)

    def _on_floats(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        return self.path.levels([float(level.t) for level in levels])


def _on_floats(update: Update, to: Level) -> Update:
    """The update to this Level with floats for its coefficients."""
    return Update(
        to,
        state=float(update.state),
        store=tuple((float(a), float(b)) for a, b in update.store),
        history_weights=tuple(float(weight) for weight in update.history_weights),
    )
