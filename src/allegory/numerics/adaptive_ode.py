r"""Items on their way along the flow: each by its own steps, all in one batch until they arrive.

A step predicts by the slopes of the past, asks for the slope there, and corrects by it (`adaptive.py`): one evaluation
a step, taken or failed. All slopes are those of the rest that the tangent Gaussian leaves (`tangent.py`): as that is
refitted at each step, the past is read again in its coordinates, which costs no evaluation. The correction without the
oldest slope tells the error.

An item that is done leaves the batch, an item whose step fails tries a shorter one while the others go on, so every
evaluation is for an item that needs it, and no item sees another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from .adams import adams, combine, next_width
from .broadcast import expand_like
from .local_gaussian import Angle, LocalGaussian, Point

FIRST = 0.1
"""The first step that is tried, as a share of the whole way."""

Field: TypeAlias = Callable[[Tensor, Tensor, Tensor], Point]
"""(u, y, items) -> what is predicted at y for the items of this index."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where each item came to, how its log-volume grew on the way, per dimension, and its evaluations."""

    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    evaluations: Int64[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class _Walk:
    """Items under way: where they stand, what they have seen (newest first), and the width that they try next."""

    items: Int64[Tensor, " b"]
    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    past: tuple[Point, ...]
    times: Float[Tensor, "b n"]
    known: Int64[Tensor, " b"]
    width: Float[Tensor, " b"]
    failed: Bool[Tensor, " b"]

    def take(self, index: Tensor) -> _Walk:
        """These items only."""
        return _Walk(
            self.items[index], self.y[index], self.growth[index], tuple(point.take(index) for point in self.past),
            self.times[index], self.known[index], self.width[index], self.failed[index],
        )  # fmt: skip

    def advance(self, step: _Step, stands: Bool[Tensor, " b"], memory: int) -> _Walk:
        """The items whose step stands, moved; the others where they were."""
        count = min(len(self.past) + 1, memory)
        before = (*self.past, self.past[-1])[:count]
        past = tuple(
            new.where(stands, old)
            for new, old in zip((step.seen, *self.past), before, strict=False)
        )
        times = torch.where(
            stands[:, None],
            torch.cat([self.times[:, :1] + self.width[:, None], self.times], 1),
            torch.cat([self.times, self.times[:, -1:]], 1),
        )
        return replace(
            self,
            y=torch.where(expand_like(stands, self.y), step.y, self.y),
            growth=torch.where(stands[:, None], self.growth + step.growth, self.growth),
            past=past,
            times=times[:, :count],
            known=torch.where(stands, (self.known + 1).clamp(max=memory), self.known),
        )


@dataclass(frozen=True, eq=False)
class _Step:
    """A step that was tried: the state there, what was seen there, and the error that it tells."""

    y: Float[Tensor, "b *shape"]
    growth: Float[Tensor, "b k"]
    seen: Point
    error: Float[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class AdaptiveIntegrator:
    """How to walk: the field, the last u, the variable, the slopes remembered, a step's tolerance, the most evaluations."""

    field: Field
    end: float
    angle: Angle
    memory: int
    tolerance: float
    limit: int

    def run(self, start: Point) -> Solution:
        """Walk every item from here to the end. RuntimeError when one needs more evaluations than the limit."""
        walk, arrived = self._begin(start), []
        evaluations = torch.ones_like(walk.items)
        end = float(self.angle.of(torch.tensor(self.end, dtype=torch.float64)))
        while len(walk.items) > 0:
            left = end - walk.times[:, 0]
            last = walk.width >= left - 1e-9
            walk = replace(walk, width=torch.where(last, left, walk.width))
            step = self._try(walk, last)
            evaluations[walk.items] += 1
            self._check(evaluations, walk.items)
            stands = step.error <= self.tolerance
            width = next_width(walk.width, step.error, self.tolerance, walk.known)
            width = torch.where(stands & walk.failed, torch.minimum(width, walk.width), width)
            walk = replace(walk.advance(step, stands, self.memory), width=width, failed=~stands)
            there = stands & last
            if bool(there.any()):
                arrived.append((walk.items[there], walk.y[there], walk.growth[there]))
                walk = walk.take((~there).nonzero()[:, 0])
        index, y, growth = (torch.cat(parts) for parts in zip(*arrived, strict=True))
        order = index.argsort()
        return Solution(y[order], growth[order], evaluations)

    def _begin(self, start: Point) -> _Walk:
        items = torch.arange(len(start.u), device=start.u.device)
        time = self.angle.of(start.u)
        width = FIRST * (self.angle.of(torch.full_like(time, self.end)) - time)
        failed = torch.zeros_like(items, dtype=torch.bool)
        known = torch.ones_like(items)
        return _Walk(
            items, start.y, torch.zeros_like(start.c), (start,), time[:, None], known, width, failed
        )

    def _try(self, walk: _Walk, last: Bool[Tensor, " b"]) -> _Step:
        """Predict, evaluate, correct."""
        now = walk.times[:, 0]
        u_now = self.angle.back(now)
        u = torch.where(last, self.end, self.angle.back(now + walk.width))
        tangent = LocalGaussian.at(walk.past[0], self.angle)
        rests = [tangent.rest(point) for point in walk.past]
        predictor, corrector, shorter = self._weights(walk)
        z = tangent.flatten(walk.y, u_now)
        motions, rates = [motion for motion, _ in rests], [rate for _, rate in rests]
        ahead = z + expand_like(walk.width, z) * combine(predictor, motions)
        seen = self.field(u, tangent.lift(ahead, u), walk.items)
        motion, rate = tangent.rest(seen)
        motions, rates, width = [motion, *motions], [rate, *rates], walk.width[:, None]
        growth = (tangent.radius(u) / tangent.radius(u_now)).log()[:, None] + width * combine(
            corrector, rates
        )
        off = (width * combine(corrector - shorter, rates).detach()).mean(1).square()
        missed = expand_like(walk.width, z) * combine(corrector - shorter, motions).detach()
        error = (off + missed.square().flatten(1).mean(1)).sqrt()
        return _Step(
            tangent.lift(z + expand_like(walk.width, z) * combine(corrector, motions), u),
            growth,
            seen,
            error,
        )

    def _weights(self, walk: _Walk) -> tuple[Tensor, Tensor, Tensor]:
        """Adams weights on the past; on the new node and the past; and on those without the oldest."""
        nodes = (walk.times - walk.times[:, :1]) / walk.width[:, None]
        number = torch.arange(nodes.shape[1], device=nodes.device)
        past, new = number < walk.known[:, None], torch.ones_like(nodes[:, :1])
        predictor, nodes = adams(nodes, past), torch.cat([new, nodes], 1)
        corrector = adams(nodes, torch.cat([new.bool(), past], 1))
        # With one slope known the shorter rule is the one of the past alone, not of the future alone.
        shorter = adams(nodes, torch.cat([new.bool(), number < walk.known[:, None] - 1], 1))
        alone = torch.cat([torch.zeros_like(new), predictor], 1)
        return predictor, corrector, torch.where(walk.known[:, None] == 1, alone, shorter)

    def _check(self, evaluations: Tensor, items: Tensor) -> None:
        stuck = items[evaluations[items] > self.limit]
        if len(stuck) > 0:
            raise RuntimeError(
                f"tolerance={self.tolerance:g}: item {int(stuck[0])} needs more than {self.limit} evaluations; raise "
                "the tolerance or the limit, use float64, and look for a predict that is random or not finite"
            )
