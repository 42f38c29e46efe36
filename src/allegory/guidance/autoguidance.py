r"""Autoguidance: from a weaker model past the model itself (Karras et al. 2024).

    weak + w (strong - weak),   both under the same condition

The weaker model has fewer weights or was trained for a shorter time. w = 0 is the weak model, w = 1
the strong one without guidance. The energy is the same line through the two energies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.guide import Guided, check_consistent
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction, check_predict, energy_of
from .scale import Scale


@dataclass(frozen=True, eq=False)
class Autoguidance:
    """Guidance by a weaker model, weak + scale (strong - weak) (Karras et al. 2024).

    `Autoguidance(weak, 2.0)(strong)` is the guided Predict. Each step evaluates both.

    Args:
        weak: a Predict on the same path, for the same items and conditions.
        scale: w of the formula; 1 is the strong one, 0 the weak one.
        low: the log-SNR below which w is 1; None for no limit.
        high: the log-SNR above which w is 1; None for no limit.
        rescale: phi, from 0 to 1, as in `ClassifierFree`.

    Raises:
        ValueError: for what is no Predict, and numbers that do not fit; when applied, for a strong
            one on another path.
    """

    weak: Predict
    scale: float
    low: float | None = None
    high: float | None = None
    rescale: float = 0.0

    def __post_init__(self) -> None:
        self._scale()  # refuses numbers that do not fit
        check_predict(self.weak)
        check_consistent(self.weak, "weak")

    def __call__(self, base: Predict) -> Guided:
        """The guided Predict. ValueError where the weak one is on another path."""
        check_same_path(self.weak.path, base.path)
        return Guided(base, self)

    def __str__(self) -> str:
        return f"Autoguidance({type(self.weak).__name__}, {self._scale()})"

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The guided Prediction at (x_t, t)."""
        level = base.path.at(t, like=x_t)
        strong = partial(base, x_t, t, condition)
        return self._scale().predict(
            level,
            lambda: self._weak(x_t, level, condition),
            strong,
            lambda: (self._weak(x_t, level, condition), strong()),
        )

    def energy(
        self,
        base: Predict,
        x_t: Float[Tensor, "b *shape"],
        t: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """The energy whose score is the guided one, in nats, up to a constant.

        Args:
            base: the Predict that is guided; it and the weak one must have an energy.
            x_t: shape (b, *shape).
            t: one time, one per item, or a Level.
            condition: None for no condition.

        Raises:
            ValueError: for one that has no energy, and with a rescale.
        """
        weak = partial(energy_of, self.weak, x_t, t, condition)
        strong = partial(energy_of, base, x_t, t, condition)
        return self._scale().energy(
            base.path.at(t, like=x_t), weak, strong, lambda: (weak(), strong())
        )

    def _scale(self) -> Scale:
        return Scale(self.scale, self.low, self.high, self.rescale)

    def _weak(self, x_t: Tensor, level: Level, condition: Tensor | None) -> Prediction:
        """The weak prediction, at the Level of the strong one's path."""
        found = self.weak(x_t, level, condition)
        return Prediction(found.u, found.y, found.targets, level, found.variance_fraction)


def check_same_path(weak: Path, strong: Path) -> None:
    """ValueError unless two paths have the same scaling and the same log-SNR at all times.

    Args:
        weak: that of the weak Predict.
        strong: that of the guided one.
    """
    if weak is strong:
        return
    if weak.scaling.name != strong.scaling.name:
        raise ValueError(
            f"weak: scaling {weak.scaling.name!r}, where the guided model has "
            f"{strong.scaling.name!r}; give a model of the same path"
        )

    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    with torch.no_grad():
        log_snrs = [path.schedule(times.to(_device(path))).cpu() for path in (weak, strong)]
    one, other = (each.clamp(-1e9, 1e9) for each in log_snrs)
    if not torch.allclose(one, other, rtol=1e-5, atol=1e-5):
        ends = " and ".join(
            " to ".join(
                f"{end:g}" if math.isfinite(end) else "infinite" for end in path.schedule.ends
            )
            for path in (weak, strong)
        )
        raise ValueError(
            f"weak: another noise schedule than that of the guided model, log-SNR {ends}; give a "
            "model of the same path"
        )


def _device(path: Path) -> torch.device:
    """Where a learned schedule is; the CPU for a fixed one."""
    return next((each.device for each in path.parameters()), torch.device("cpu"))
