r"""Sampling from a level between data and noise, and back to it: SDEdit and DDIM inversion.

A strength s from 0 to 1 says where, by the angle of the level:

    sigma/alpha = tan(pi s / 2),

the time t = s of the cosine schedule (Nichol & Dhariwal 2021), on any schedule and scaling; s =
1/2 is log-SNR 0. A level beyond an end of the path is that end. SDEdit (Meng et al. 2022) starts at

    x_t = alpha_t x0 + sigma_t eps

and samples from there: the smaller s, the closer to x0. DDIM inversion (Song et al. 2020, section
5.4) goes to the same level along the probability flow, without a draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..process.grid import Grid
from ..process.noise import Noise, Stream
from ..process.path import Level, Path
from ..process.prediction import Predict
from .driver import OnStep, invert, last_state, trajectory
from .pilot import PILOT
from .sampler import Sampler
from .single_step import levels_at
from .tuned_sampler import TunedSampler

_STEP = 1e-6
"""Of log-SNR: a node of the grid that is nearer to the first level is left out."""


def strength_level(path: Path, strength: float) -> Level:
    """The Level of a path with sigma/alpha = tan(pi strength / 2), or the end nearest to it.

    Args:
        path: the forward process.
        strength: 0 for the data end, 1 for the noise end.

    Raises:
        ValueError: for a strength outside of [0, 1].
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength}; give a number from 0 (the picture) to 1 (noise)")
    if strength in (0, 1):
        return path.levels([float(strength)])[0]

    start, end = path.schedule.ends
    log_snr = -2 * math.log(math.tan(math.pi * strength / 2))
    return levels_at(path, [min(max(log_snr, end), start)])[0]


@dataclass(frozen=True)
class PartialSampler:
    """A sampler whose first level has a given strength of noise.

    It takes the steps of the sampler's own grid below that level, so a strength of 1/2 takes about
    half of them.

    Args:
        sampler: solver, steps, spacing, end, scaling and guides.
        strength: of the first level, from 0 to 1 (see the module).

    Raises:
        ValueError: for a strength outside of [0, 1], and a tuned sampler, whose numbers are for a
            grid of its own.
    """

    sampler: Sampler = field(default_factory=Sampler)
    strength: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what has no grid below that level."""
        if not 0 <= self.strength <= 1:
            raise ValueError(
                f"strength={self.strength}; give a number from 0 (the picture) to 1 (noise)"
            )
        if self.sampler.solver == PILOT:
            raise ValueError(
                f"solver {PILOT}: makes a grid for all the way from noise; choose another solver"
            )
        if isinstance(self.sampler.solver, TunedSampler):
            raise ValueError(
                "solver tuned: its numbers are for a grid of its own; choose another solver"
            )

    def grid(self, path: Path, dims: int | None = None) -> Grid:
        """The Levels from the first one to the end.

        Args:
            path: that of the guided Predict.
            dims: the numbers of an item, by which the spacing "angle" goes; None for a turn of 3.

        Raises:
            ValueError: where no level of the sampler's grid is below the first.
        """
        first = strength_level(path, self.strength)
        levels = self.sampler.grid(path, dims).levels
        below = [level for level in levels if level.log_snr > first.log_snr + _STEP]
        if not below:
            raise ValueError(f"strength={self.strength}: no step is left; give a larger one")
        return Grid((first, *below))

    def noised(
        self, predict: Predict, x0: Float[Tensor, "b *shape"], seeds: Sequence[int]
    ) -> Float[Tensor, "b *shape"]:
        """x_t = alpha_t x0 + sigma_t eps at the first level (Meng et al. 2022).

        Args:
            predict: the Predict that is sampled, without guides.
            x0: items in model space.
            seeds: one integer per item, from which eps is drawn.
        """
        eps = Noise(seeds, x0.shape[1:], Stream.START).draw(x0)
        level = strength_level(self.sampler.guided(predict).path, self.strength)
        return level.mix(x0, eps)

    def inverted(
        self, predict: Predict, x0: Float[Tensor, "b *shape"], condition: Tensor | None = None
    ) -> Float[Tensor, "b *shape"]:
        """DDIM inversion to the first level, without guides: the x_t whose sample is x0.

        Args:
            predict: a network, oracle or other Predict.
            x0: items in model space.
            condition: one row per item, or None.

        Raises:
            ValueError: for a stochastic solver, a path that is clean at t = 0, and a strength
                below that of the last step.
        """
        plain = self._to_min(guide=None)
        guided = plain.sampler.guided(predict)
        grid, solver = plain.grid(guided.path, x0.shape[1:].numel()), plain.sampler.solver
        assert not isinstance(solver, TunedSampler), "refused at the start"
        return invert(guided, x0, grid, solver=solver, condition=condition)

    def sample(
        self,
        predict: Predict,
        x_t: Float[Tensor, "b *shape"],
        *,
        seeds: Sequence[int] | None = None,
        condition: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """Samples from states at the first level.

        Args:
            predict: a network, oracle or other Predict, without guides.
            x_t: states at the first level.
            seeds: one integer per item; None only for a deterministic solver.
            condition: one row per item, or None.
            on_step: called with (steps done, steps in all) after each step.
        """
        guided = self.sampler.guided(predict)
        solver = self.sampler.solver
        assert not isinstance(solver, TunedSampler), "refused at the start"
        states = trajectory(
            guided,
            x_t,
            self.grid(guided.path, x_t.shape[1:].numel()),
            solver=solver,
            condition=condition,
            seeds=seeds,
            on_step=on_step,
        )
        return last_state(states).x

    def returned(
        self,
        predict: Predict,
        x_t: Float[Tensor, "b *shape"],
        *,
        condition: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """The steps of `inverted` in reverse, under the guides: the x0 whose inversion is x_t.

        Args:
            predict: a network, oracle or other Predict, without guides.
            x_t: states at the first level, from `inverted`.
            condition: one row per item, or None.
            on_step: called with (steps done, steps in all) after each step.
        """
        back = self._to_min(guide=self.sampler.guide)
        x = back.sample(predict, x_t, condition=condition, on_step=on_step)
        return x / self.sampler.guided(predict).path.levels([0.0])[0].alpha

    def _to_min(self, guide: Any) -> PartialSampler:
        """The same on the grid that ends at t = 0, under another guide."""
        return replace(self, sampler=replace(self.sampler, end="min", guide=guide))
