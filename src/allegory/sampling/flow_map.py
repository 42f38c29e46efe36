r"""Sampling with a flow map: one evaluation per jump, of any length.

    gamma = 0    x_s = alpha_s X + sigma_s E: the flow itself, deterministic
    gamma = 1    X at clean data, then noise anew: multistep consistency sampling (Song et al. 2023)

Between, a jump goes beyond s, to the level r with sigma_r/alpha_r = sqrt(1 - gamma^2)
sigma_s/alpha_s, and noise brings the state back to s (Kim et al. 2024). An error of one jump is
forgotten as noise replaces it, while the draws cost no evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ..process.flow_map import check_flow_map
from ..process.instruction import Loop, Plan
from ..process.path import Level
from .single_step import levels_at
from .solver import Solver


@dataclass(frozen=True)
class Jump:
    """A jump with a flow map, and noise.

    Args:
        to: the Level that is reached.
        by: the Level to which the flow map goes, at `to` or beyond.
        stage: whether the state is intermediate.
    """

    to: Level
    by: Level
    stage: bool = False

    def apply(self, loop: Loop) -> Tensor:
        """The state at `to`. ValueError where the loop has no flow map."""
        flow_map = check_flow_map(loop.predict)
        found = flow_map.jump(loop.x, loop.level, self.by, loop.condition)
        loop.record(found, None)

        x = found.at(self.by)
        if self.by is self.to:
            return x
        signal = self.to.alpha / self.by.alpha
        added = (self.to.sigma**2 - (signal * self.by.sigma) ** 2) ** 0.5
        return signal * x + added * loop.draw(x)


STUDENT_SPACING = "angle:3"
"""The levels that students are trained for, whatever the numbers of an item."""


def flow_map_solver(gamma: float = 0.0) -> Solver:
    """The solver of jumps with a flow map.

    Args:
        gamma: 0 for the flow itself, 1 for noise anew at each level.

    Raises:
        ValueError: for a number outside of [0, 1].
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma={gamma}; give a number from 0 to 1")

    def plan(levels: Sequence[Level]) -> Plan:
        return [Jump(to, _beyond(to, gamma)) for _, to in pairwise(levels)]

    name = "flow_map" if gamma == 0 else f"flow_map:{gamma:g}"
    return Solver(name, plan, stochastic=gamma > 0, spacing=STUDENT_SPACING)


def _beyond(level: Level, gamma: float) -> Level:
    """The Level with sqrt(1 - gamma^2) times the sigma/alpha of this one."""
    if gamma == 0 or level.sigma == 0.0:
        return level
    if gamma == 1:
        return level.path.clean
    log_snr = float(level.log_snr) - math.log1p(-gamma * gamma)
    return levels_at(level.path, [log_snr])[0]
