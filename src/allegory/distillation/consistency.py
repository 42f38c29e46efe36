r"""Consistency tuning: the clean end of the flow is the same from neighbouring levels (Geng et al.
2024, ECT).

With s clean, r below t in angle, and the same noise in both states,

    loss = |X(x_t; t, s) - sg X(x_r; r, s)|^2 / (t - r)^2 w(t)        sg: not differentiated

X is x_0 at r = s. The gap is a part of the angle, t - r = gap t: the first half of the angle at
gap = 1/2. As it is halved the residual approaches the derivative of the Eulerian identity, whose
expected gradient is 0 at the exact map. A model is tuned with gaps that are halved again and again.
The network shall have no dropout, so that both are one function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..objectives.draws import stratified_times
from ..process.angle import angle_range, level_at_angle
from ..process.flow_map import FlowMap
from ..process.prediction import Predict
from .draws import noised
from .shared import SharedTeacher


@dataclass(frozen=True, eq=False)
class Consistency(SharedTeacher):
    """The objective of consistency tuning.

    Args:
        teacher: the model that is tuned, for the comparison of paths; None for a new one.
        gap: (t - r)/t in angle, from 0 (excluded) to 1 (the denoising loss).

    Raises:
        ValueError: for a gap out of its range.
    """

    teacher: Predict | None = None
    gap: float = 0.125
    jumps: ClassVar[str] = "clean"

    def __post_init__(self) -> None:
        if not 0 < self.gap <= 1:
            raise ValueError(f"gap={self.gap}; give a number above 0, at most 1")

    @property
    def unit(self) -> str:
        """A weighted squared error per dimension."""
        return "consistency error"

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of each item.

        Args:
            predict: the flow map.
            x0: clean items in model space.
            condition: one row per item, or None.
            generator: where levels and noise are drawn from.
        """
        flow_map, path = cast(FlowMap, predict), predict.path
        first, last = angle_range(path)
        start = first + (last - first) * stratified_times(len(x0), generator).to(x0.device)
        truth = noised(path, x0, start, generator)
        before = start * (1 - self.gap)
        r = level_at_angle(path, before.clamp(min=first), x0)

        own = flow_map.jump(truth.x_t, truth.level, path.clean, condition).x0
        with torch.no_grad():
            other = flow_map.jump(truth.at(r), r, path.clean, condition).x0
            is_clean = (before <= first).reshape(-1, *[1] * (x0.ndim - 1))
            other = torch.where(is_clean, x0, other)

        weight = 1 / (start * self.gap).square()
        return weight.to(x0) * (own - other).square().flatten(1).mean(1)
