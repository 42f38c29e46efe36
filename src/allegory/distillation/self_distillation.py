r"""A flow map that learns from itself: the diagonal from data or a teacher, the jumps by an
identity.

For a part of each batch the loss is that of a denoiser on the diagonal s = t,

    |V(x_t; t, t) - v|^2       v that of a teacher at x_t, or that of the item and its noise

and for the others it is one of the identities of `process.flow_identities`, whose right side is not
differentiated:

    semigroup     one jump is two, by way of a middle level     shortcut models (Frans et al. 2025)
    lagrangian    the end moves along the flow                  LSD (Boffi et al. 2025)
    eulerian      the end stays as the start moves              MeanFlow (Geng et al. 2025)

The Eulerian derivative needs a product with the network's Jacobian, whose size varies: its
residual g is divided by |g| + 0.1 per item, root mean square (Lu & Song 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..numerics.generators import draw_rows, uniform
from ..process.angle import UNIT_V, turn, unit_state, velocity
from ..process.flow_identities import (
    by_way_of,
    end_velocity,
    with_end_slope,
    with_start_slope,
)
from ..process.flow_map import FlowMap
from ..process.prediction import Predict, Prediction
from .draws import Pairs, random_pairs
from .shared import SharedTeacher

_SMALL = 0.1
"""Of the residual's root mean square, beside which it is divided."""

IDENTITIES = {
    "semigroup": "two jumps are one (Frans et al. 2025)",
    "lagrangian": "the end moves along the flow (Boffi et al. 2025)",
    "eulerian": "the end stays as the start moves (Geng et al. 2025)",
}
"""The identities that a flow map can learn its jumps by."""


@dataclass(frozen=True, eq=False)
class SelfDistillation(SharedTeacher):
    """The objective of a flow map that learns from itself.

    Args:
        teacher: a denoiser, for the diagonal; None for the items and their noise.
        identity: "semigroup", "lagrangian" or "eulerian".
        diagonal: the part of each batch that learns the diagonal.

    Raises:
        ValueError: for an unknown identity, and a part outside of (0, 1).
    """

    teacher: Predict | None = None
    identity: str = "lagrangian"
    diagonal: float = 0.5

    def __post_init__(self) -> None:
        pick("identity", self.identity, IDENTITIES)
        if not 0 < self.diagonal < 1:
            raise ValueError(f"diagonal={self.diagonal}; give a part of the batch, between 0 and 1")

    @property
    def unit(self) -> str:
        """A squared error per dimension."""
        return "flow map error"

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
        on = self._on_diagonal(len(x0), generator).to(x0.device)
        losses = x0.new_zeros(len(x0))
        for part, loss in ((on, "_diagonal"), (~on, f"_{self.identity}")):
            if not part.any():
                continue
            pairs = random_pairs(predict.path, x0[part], generator)
            given = None if condition is None else condition[part]
            flow_map, of = _rows(predict, part), replace(self, teacher=_rows(self.teacher, part))
            errors = getattr(of, loss)(cast(FlowMap, flow_map), pairs, given)
            losses = losses.index_put((part,), errors)

        return losses

    def _on_diagonal(self, count: int, generator: torch.Generator) -> Tensor:
        """Which items learn the diagonal. An item alone is drawn: it learns both in turn."""
        if count == 1:
            return draw_rows(uniform, (1,), generator) < self.diagonal

        # By the index of the item alone: a share of a batch is spread over all processes alike.
        return (torch.arange(count) * self.diagonal + 1e-9) % 1 < self.diagonal

    def _diagonal(self, predict: FlowMap, pairs: Pairs, condition: Tensor | None) -> Tensor:
        """The squared error of v."""
        found = velocity(predict.jump(pairs.x_t, pairs.t, pairs.t, condition))
        return _squared(found - self._slope(pairs, condition))

    def _slope(self, pairs: Pairs, condition: Tensor | None) -> Tensor:
        """v of the teacher, or of the items and their noise."""
        if self.teacher is None:
            return velocity(pairs.truth)
        with torch.no_grad():
            return velocity(self.teacher(pairs.x_t, pairs.t, condition))

    def _semigroup(self, predict: FlowMap, pairs: Pairs, condition: Tensor | None) -> Tensor:
        """The squared residual of two jumps of half the angle."""
        x_t, t, s = pairs.x_t, pairs.t, pairs.s
        m = pairs.at((pairs.start + pairs.end) / 2)
        with torch.no_grad():
            both = by_way_of(partial(predict.jump, condition=condition), x_t, t, m, s)
        return _squared(velocity(predict.jump(x_t, t, s, condition)) - both)

    def _lagrangian(self, predict: FlowMap, pairs: Pairs, condition: Tensor | None) -> Tensor:
        """The squared residual of the slope at the end."""
        x_t, t, s = pairs.x_t, pairs.t, pairs.s
        jump = partial(predict.jump, condition=condition)
        value, slope = with_end_slope(jump, x_t, t, pairs.end)
        with torch.no_grad():
            x_s = Prediction.solve(UNIT_V, value.detach(), x_t, t).at(s)
            flow = predict if self.teacher is None else self.teacher
            own = velocity(flow(x_s, s, condition))
        return _squared(end_velocity(unit_state(x_t, t), value, slope, turn(t, s, x_t)) - own)

    def _eulerian(self, predict: FlowMap, pairs: Pairs, condition: Tensor | None) -> Tensor:
        """The squared distance to V + g/(|g| + 0.1), g the residual of the slope at the start."""
        x_t, s = pairs.x_t, pairs.s
        v, d = self._slope(pairs, condition), turn(pairs.t, s, x_t)
        jump = partial(predict.jump, condition=condition)
        value, slope = with_start_slope(jump, x_t, pairs.start, s, v)
        with torch.no_grad():
            g = torch.cos(d) * (v - value) + torch.sin(d) * (unit_state(x_t, pairs.t) + slope)
            size = g.square().flatten(1).mean(1).sqrt().reshape(-1, *[1] * (g.ndim - 1))
            target = value + g / (size + _SMALL)

        return _squared(value - target)


def _rows(predict: Predict | None, part: Tensor) -> Predict | None:
    """A Predict for some of the items, where it has numbers of its own for each."""
    rows = getattr(predict, "rows", None)
    return predict if rows is None else cast(Predict, rows(part))


def _squared(residual: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    """The mean square of each item."""
    return residual.square().flatten(1).mean(1)
