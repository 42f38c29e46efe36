r"""Adaptive sampling of the probability flow, with steps and errors of each item's own.

The integrator is that of the likelihood (`numerics.adaptive_ode`), run from noise to data: an Adams
predictor-corrector of variable step size, whose error is the difference of two orders. The local
Gaussian is fixed to variance S^2, S the standard deviation of the data, so no derivative of the
network is needed: it is the v form of `flow_forms`, at unequal steps. Each item has its own steps
and its own error, so it is the same alone and in any batch. (A norm over the batch, as in other
libraries, makes an item's steps depend on its neighbours.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..numerics.adaptive_ode import AdaptiveIntegrator
from ..numerics.local_gaussian import Angle, Point
from ..process.flow_field import FlowSlope
from ..process.path import Path, precise
from ..process.prediction import Predict

_HISTORY = 4
_LARGEST_LAMBDA = 12.0
"""-lambda where t = 1 is pure noise, in the place of infinity."""


@dataclass(frozen=True, eq=False)
class AdaptiveResult:
    """The result of `adaptive`.

    Args:
        x: the items, shape (b, *shape).
        evaluations: how many each item took.
    """

    x: Float[Tensor, "b *shape"]
    evaluations: Int64[Tensor, " b"]


@dataclass(frozen=True)
class AdaptiveSolver:
    """How the probability flow is integrated by `adaptive`.

    Args:
        tolerance: bound of the error of a step, root mean square, in local standard deviations of
            x_t.
        data_std: standard deviation of the data; it decides where the steps lie, not what they
            approximate.
        end: "denoise" ends with the posterior mean at t = 0, "min" with the state there.
        max_evaluations: the most evaluations of an item.

    Raises:
        ValueError: for numbers that are not positive, or infinite, and another end.
    """

    tolerance: float = 1e-3
    data_std: float = 1.0
    end: str = "denoise"
    max_evaluations: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot be integrated."""
        numbers = (self.tolerance, self.data_std)
        if not all(0 < number < math.inf for number in numbers) or self.max_evaluations < 1:
            raise ValueError(
                f"tolerance={self.tolerance}, data_std={self.data_std}, "
                f"max_evaluations={self.max_evaluations}; give positive numbers, such as 1e-3, 1 "
                "and 1000"
            )
        if self.end not in ("denoise", "min"):
            raise ValueError(f"end={self.end!r}; give 'denoise' or 'min'")


@torch.no_grad()
def adaptive(
    predict: Predict,
    x_T: Float[Tensor, "b *shape"],
    solver: AdaptiveSolver | None = None,
    *,
    condition: Tensor | None = None,
) -> AdaptiveResult:
    """The probability flow from t = 1 to t = 0, each item by steps of its own.

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at t = 1.
        solver: tolerance, end and limit; None for `AdaptiveSolver()`.
        condition: passed to predict; None for no condition.

    Returns:
        The items, and the evaluations that each took.

    Raises:
        ValueError: for no items, or a path that is clean at t = 0.
        RuntimeError: when an item needs more evaluations than the limit.
    """
    path = predict.path
    _check(path, x_T)
    solver = solver or AdaptiveSolver()
    start, terminal = path.schedule.ends
    u_1 = math.exp(-max(terminal / 2, -_LARGEST_LAMBDA))
    u_0 = math.exp(-start / 2)
    log_snr = torch.tensor(-2 * math.log(u_1), dtype=torch.float64)
    alpha = path.scaling.scales(log_snr)[0].item()
    y = x_T.to(precise(x_T.device)) / alpha

    field = _Field(FlowSlope(predict, x_T.dtype, condition), solver.data_std)
    first = field(y.new_full((len(y),), u_1), y, torch.arange(len(y), device=y.device))
    angle = Angle(solver.data_std, -1)
    integrator = AdaptiveIntegrator(
        field, u_0, angle, _HISTORY, solver.tolerance, solver.max_evaluations
    )
    solution = integrator.run(first)

    level = path.levels([0.0])[0]
    x = (level.alpha * solution.y).to(x_T.dtype)
    if solver.end == "min":
        return AdaptiveResult(x, solution.evaluations)

    x0 = predict(x, level, condition).x0.to(x_T.dtype)
    return AdaptiveResult(x0, solution.evaluations + 1)


def _check(path: Path, x_T: Tensor) -> None:
    """ValueError for no items, or a path that is clean at t = 0."""
    if x_T.ndim < 2 or len(x_T) == 0:
        raise ValueError(
            f"x_T: shape {tuple(x_T.shape)}; give at least one item, of at least one number"
        )

    if not math.isfinite(path.schedule.ends[0]):
        raise ValueError(
            "path: log-SNR is infinite at t = 0, and adaptive() needs a finite end; "
            "use sample(..., solver='auto'), or a schedule with a finite start"
        )


@dataclass(frozen=True, eq=False)
class _Field:
    """A Predict as the slope of y = x/alpha by u = sigma/alpha: eps."""

    slope: FlowSlope
    data_std: float

    def __call__(self, u: Tensor, y: Tensor, items: Tensor) -> Point:
        eps = self.slope(u, y, items).to(y.dtype)
        c = u * u / (self.data_std**2 + u * u)
        return Point(u, y, eps, c[:, None])
