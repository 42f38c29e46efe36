r"""Items on their way along the flow: each by its own steps, all in one batch until they arrive.

An item that is done leaves the batch, an item whose step fails tries a shorter one while the others go on, so every
evaluation of the network is for an item that needs it, and no item sees another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .adaptive import Pair, combine, next_width
from .tangent import Angle, Point, Tangent, beside

FIRST = 0.3
"""The first step that is tried, as a share of the whole way."""


@runtime_checkable
class Field(Protocol):
    """What is believed at y for the items of this index; without `traced` the divergence is left 0."""

    def __call__(self, u: Tensor, y: Tensor, items: Tensor, traced: bool = True) -> Point:
        """The Point there."""
        ...


@dataclass(frozen=True, eq=False)
class Arrival:
    """Where each item came to, the logarithm of how its volume grew on the way, in units of d, and its cost."""

    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    evaluations: Int64[Tensor, " b"]
    traced: Int64[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class _Step:
    """A step that was tried."""

    to: Point
    growth: Float[Tensor, "b k"]
    error: Float[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class March:
    """How to walk: the field, the last u, the variable, the pair, the tolerance of a step and the most evaluations."""

    field: Field
    end: float
    angle: Angle
    pair: Pair
    tolerance: float
    limit: int

    def run(self, at: Point) -> Arrival:
        """Walk every item from here to the end. RuntimeError when one needs more evaluations than the limit."""
        items, w, growth = torch.arange(len(at.u), device=at.u.device), self.angle.of(at.u), torch.zeros_like(at.c)
        end = self.angle.of(torch.full_like(w, self.end))
        width, failed = FIRST * (end - w), torch.zeros_like(w, dtype=torch.bool)
        tries, arrived = torch.zeros_like(items), []
        while len(items) > 0:
            last = w + width >= end - 1e-9
            width = torch.where(last, end - w, width)
            step = self._try(at, items, w, width, last)
            tries[items] += 1
            self._check(tries, items)
            after, stands = next_width(self.pair, width, step.error, self.tolerance)
            at, growth = step.to.where(stands, at), torch.where(stands[:, None], growth + step.growth, growth)
            w = torch.where(stands, w + width, w)
            width, failed = torch.where(stands & failed, torch.minimum(width, after), after), ~stands
            there = stands & last
            if bool(there.any()):
                arrived.append((items[there], at.y[there], growth[there]))
                on = (~there).nonzero()[:, 0]
                at, items, growth, w, end, width, failed = (
                    at.take(on), items[on], growth[on], w[on], end[on], width[on], failed[on]
                )  # fmt: skip
        order = torch.cat([index for index, _, _ in arrived]).argsort()
        return Arrival(
            torch.cat([y for _, y, _ in arrived])[order],
            torch.cat([volume for _, _, volume in arrived])[order],
            1 + tries * (len(self.pair.nodes) - 1),
            1 + tries * sum(self.pair.quadrature[1:]),
        )

    def _try(self, at: Point, items: Tensor, w: Tensor, width: Tensor, last: Tensor) -> _Step:
        """One step of each item from `at`, whose belief is the first stage."""
        tangent = Tangent.at(at, self.angle)
        z, here = tangent.flatten(at), at
        stages = [tangent.rest(at)]
        for node, row, traced in zip(self.pair.nodes[1:], self.pair.rows, self.pair.quadrature[1:], strict=True):
            u = self.angle.back(w + node * width)
            u = torch.where(last, self.end, u) if node == 1 else u
            moved = z + beside(width, z) * combine(row, [motion for motion, _ in stages])
            here = self.field(u, tangent.lift(moved, u), items, traced)
            stages.append(tangent.rest(here))
        motions, rates = [motion for motion, _ in stages], [rate for _, rate in stages]
        growth = (tangent.radius(here.u) / tangent.radius(at.u)).log()[:, None]
        growth = growth + width[:, None] * combine((*self.pair.rows[-1], 0.0), rates)
        off = (width * combine(self.pair.errors, rates).detach().mean(1)).square()
        off = off + (beside(width, z) * combine(self.pair.errors, motions).detach()).square().flatten(1).mean(1)
        return _Step(here, growth, off.sqrt())

    def _check(self, tries: Tensor, items: Tensor) -> None:
        stuck = items[1 + tries[items] * (len(self.pair.nodes) - 1) > self.limit]
        if len(stuck) > 0:
            raise RuntimeError(
                f"tolerance={self.tolerance:g}: item {int(stuck[0])} needs more than {self.limit} evaluations; raise "
                "the tolerance or the limit, use float64, and look for a predict that is random or not finite"
            )
