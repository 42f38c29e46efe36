"""What the losses of a flow map are evaluated at: noisy items at random angles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.generators import draw_rows, uniform
from ..objectives.draws import normal_like, stratified_times
from ..process.angle import angle_range, level_at_angle
from ..process.path import Level, Path
from ..process.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Pairs:
    """Noisy items with a level to reach each.

    Args:
        truth: clean items and noise at the Level t.
        start: the angles of t, (b,).
        end: the angles of s, (b,), not above those of t.
    """

    truth: Prediction
    start: Float[Tensor, " b"]
    end: Float[Tensor, " b"]

    @property
    def x_t(self) -> Tensor:
        """The states."""
        return self.truth.x_t

    @property
    def t(self) -> Level:
        """Their Level."""
        return self.truth.level

    @property
    def s(self) -> Level:
        """The Level to reach."""
        return self.at(self.end)

    def at(self, theta: Float[Tensor, " b"]) -> Level:
        """The Level of these angles."""
        return level_at_angle(self.t.path, theta, self.truth.x_t)


def noised(path: Path, x0: Tensor, theta: Tensor, generator: torch.Generator) -> Prediction:
    """Clean items and standard normal noise at these angles.

    Args:
        path: the forward process.
        x0: clean items.
        theta: one angle per item.
        generator: where the noise is drawn from.
    """
    return Prediction.of(x0, normal_like(x0, generator), level_at_angle(path, theta, x0))


def random_pairs(path: Path, x0: Tensor, generator: torch.Generator) -> Pairs:
    """Items at stratified angles t between the ends of the path, and s uniform below.

    Args:
        path: the forward process.
        x0: clean items.
        generator: where angles and noise are drawn from.
    """
    first, last = angle_range(path)
    start = first + (last - first) * stratified_times(len(x0), generator).to(x0.device)
    part = draw_rows(uniform, (len(x0),), generator).to(start)
    truth = noised(path, x0, start, generator)
    return Pairs(truth, start, first + part * (start - first))
