r"""Progressive distillation: one step of a student for two of its teacher (Salimans & Ho 2022).

On the levels t_0 > t_1 > ... of the teacher, at t = t_2i, m = t_2i+1, s = t_2i+2,

    V~ = that of the teacher's two steps as one    (`process.flow_identities.two_steps`)
    loss = w(t) |V(x_t; t, s) - V~|^2

where the error of x0 is sin(t) times that of V. The target is deterministic: it depends on x_t and
the teacher alone. A teacher of 2 N steps has a student of N, which is the next teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..numerics.generators import draw_rows, uniform
from ..process.angle import angle, level_at_angle, velocity
from ..process.flow_identities import by_way_of
from ..process.flow_map import jump
from ..process.path import Level
from ..process.prediction import Predict
from .draws import noised
from .shared import SharedTeacher

PROGRESSIVE_WEIGHTS = {
    "snr+1": "1 + SNR for x0: 1 for V",
    "truncated": "max(SNR, 1) for x0: max(cos^2, sin^2) for V",
}
"""The weights of the paper, section 4."""


@dataclass(frozen=True, eq=False)
class Progressive(SharedTeacher):
    """The objective of progressive distillation.

    Args:
        teacher: a denoiser, whose steps are those of DDIM, or a flow map, such as a
            `MidpointMap` of a denoiser.
        levels: its Levels from noise to data, an odd number.
        weight: "truncated" or "snr+1".

    Raises:
        ValueError: for an even number of levels, an unknown weight.
    """

    teacher: Predict
    levels: tuple[Level, ...]
    weight: str = "truncated"
    jumps: ClassVar[str] = "grid"

    def __post_init__(self) -> None:
        pick("weight", self.weight, PROGRESSIVE_WEIGHTS)
        if len(self.levels) < 3 or len(self.levels) % 2 == 0:
            raise ValueError(
                f"levels: {len(self.levels) - 1} steps of the teacher; give an even number, so "
                "that each step of the student is two of them"
            )

    @property
    def unit(self) -> str:
        """A weighted squared error per dimension."""
        return "distillation error"

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of each item.

        Args:
            predict: the student.
            x0: clean items in model space.
            condition: one row per item, or None.
            generator: where steps and noise are drawn from.
        """
        path = predict.path
        angles = torch.stack([angle(level) for level in self.levels]).to(x0.device)
        steps = len(angles) // 2
        drawn = (draw_rows(uniform, (len(x0),), generator) * steps).long().clamp(max=steps - 1)
        start, middle, end = (angles[2 * drawn.to(x0.device) + k] for k in range(3))

        truth = noised(path, x0, start, generator)
        x_t, t = truth.x_t, truth.level
        m, s = level_at_angle(path, middle, x0), level_at_angle(path, end, x0)
        with torch.no_grad():
            steps_of = partial(jump, self.teacher, condition=condition)
            both = by_way_of(steps_of, x_t, t, m, s)

        error = velocity(jump(predict, x_t, t, s, condition)) - both
        return self._weights(start).to(x0) * error.square().flatten(1).mean(1)

    def _weights(self, theta: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """w(t) of |error of V|^2."""
        if self.weight == "snr+1":
            return torch.ones_like(theta)
        return torch.maximum(theta.cos(), theta.sin()).square()


def halved(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Every other Level of an odd number."""
    return levels[::2]


def halvings(teacher_steps: int, steps: int) -> tuple[tuple[int, int], ...]:
    """The numbers of steps of each teacher and its student, from the first to the last.

    Args:
        teacher_steps: of the first teacher.
        steps: of the last student.

    Raises:
        ValueError: where halving does not lead from one to the other.
    """
    counts = [teacher_steps]
    while counts[-1] > 1 and counts[-1] % 2 == 0:
        counts.append(counts[-1] // 2)

    if steps not in counts[1:]:
        power = f"teacher_steps = {steps} times a power of 2"
        leads = f"leads to {', '.join(map(str, counts[1:]))}; give one of them, or {power}"
        raise ValueError(
            f"steps={steps}: from {teacher_steps} steps of the teacher halving "
            f"{leads if len(counts) > 1 else f'leads to no whole number; give {power}'}"
        )
    counts = counts[: counts.index(steps) + 1]
    return tuple(pairwise(counts))
