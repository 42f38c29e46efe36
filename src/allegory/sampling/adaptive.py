r"""A sampler that chooses its own steps, item by item.

The walk is that of the likelihood (`numerics.adaptive_ode`), from noise to data: it predicts by the slopes of the past, asks,
corrects, and takes the difference of two orders for its error. Of the tangent Gaussian there is left N(., S^2), S the
standard deviation of the data, so no derivative of the network is asked for: it is the v form of `multistep`, at unequal
steps. Each item has its own steps and its own error, so it comes out the same alone and in any batch. (A norm over the
batch, as in other libraries, makes an item's steps depend on its neighbours.)
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
from ..process.path import precise
from ..process.prediction import Predict

MEMORY, STEEPEST = 4, 12.0
"""Slopes remembered; and the half log-SNR that stands for none at all where t = 1 is pure noise."""


@dataclass(frozen=True, eq=False)
class AdaptiveResult:
    """Where each item came to, and the evaluations that it took."""

    x: Float[Tensor, "b *shape"]
    evaluations: Int64[Tensor, " b"]


@torch.no_grad()
def adaptive(
    predict: Predict,
    x_T: Float[Tensor, "b *shape"],
    *,
    tolerance: float = 1e-3,
    condition: Tensor | None = None,
    data_std: float = 1.0,
    end: str = "denoise",
    limit: int = 1000,
) -> AdaptiveResult:
    """The probability flow from t = 1 to t = 0, each item by steps of its own.

    Args:
        predict: the network, oracle or guided Predict; its path is the one that is sampled.
        x_T: shape (b, *shape), the state at t = 1.
        tolerance: bound of the error of a step, root mean square, in local standard deviations of x_t.
        condition: passed to predict; None for no condition.
        data_std: standard deviation of the data; it decides where the steps lie, not what they approximate.
        end: "denoise" ends with the posterior mean at t = 0, "min" with the state there.
        limit: the most evaluations of an item.

    Returns:
        The items, and the evaluations that each took.

    Raises:
        ValueError: for a tolerance that is not positive, or a path that is clean at t = 0.
        RuntimeError: when an item needs more evaluations than the limit.
    """
    if not (0 < tolerance < math.inf and 0 < data_std < math.inf):
        raise ValueError(
            f"tolerance={tolerance}, data_std={data_std}; give positive numbers, such as 1e-3 and 1"
        )
    if end not in ("denoise", "min"):
        raise ValueError(f"end={end!r}; give 'denoise' or 'min'")
    x = x_T
    path = predict.path
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"x: shape {tuple(x.shape)}; give at least one item, and items of at least one number"
        )
    first, last = path.schedule.ends
    if not math.isfinite(first):
        raise ValueError(
            "path: clean at t = 0, which no number of steps of its own reaches; use solver 'auto'"
        )
    field = _Field(FlowSlope(predict, x.dtype, condition), data_std)
    u, u_end = math.exp(-max(last / 2, -STEEPEST)), math.exp(-first / 2)
    alpha = path.scaling.scales(torch.tensor(-2 * math.log(u), dtype=torch.float64))[0].item()
    y = x.to(precise(x.device)) / alpha
    begin = field(y.new_full((len(y),), u), y, torch.arange(len(y), device=y.device))
    arrival = AdaptiveIntegrator(field, u_end, Angle(data_std, -1), MEMORY, tolerance, limit).run(
        begin
    )
    level = path.levels([0.0])[0]
    reached = (level.alpha * arrival.y).to(x.dtype)
    if end == "min":
        return AdaptiveResult(reached, arrival.evaluations)
    return AdaptiveResult(
        predict(reached, level, condition).x0.to(x.dtype), arrival.evaluations + 1
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
