r"""Time series of a law that is known exactly: damped rotations with noise.

A series x_1, ..., x_T of points of the plane has one of three angles theta, equally likely, and

    x_1 ~ N(0, I)        x_t = r R(theta) x_{t-1} + sqrt(1 - r^2) e_t,    e_t ~ N(0, I),

a vector autoregression of order one, with the rotation R(theta) and r = 0.95. It is stationary: if
x_{t-1} ~ N(0, I), so is x_t. By the chain rule

    log p(x | theta) = log N(x_1; 0, I) + sum_t log N(x_t; r R x_{t-1}, (1 - r^2) I),

and p(x) is the mean over the angles. What follows the first k points depends on them by the last
one and by p(theta | x_1, ..., x_k).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from .dataset import Dataset
from .items import Items
from .spec import DataSpec

DECAY = 0.95
"""r, by which a rotation shrinks per step."""

ANGLES = (math.tau / 24, math.tau / 12, math.tau / 6)
"""theta in radians per step, by class."""

_NOISE = math.sqrt(1 - DECAY**2)
_COUNTS = (20_000, 1_000, 2_000)
_MOST_TIMES = 1000


def rotation_series(*, length: int = 32, seed: int = 0) -> Dataset:
    """Independent draws: 20,000 to train, 1,000 to validate, 2,000 to test; the class is the angle.

    Args:
        length: times of a series.
        seed: of the draws, 0 or more.

    Raises:
        ValueError: for fewer than 2 or more than 1,000 times, and a negative seed.
    """
    if not 2 <= length <= _MOST_TIMES:
        raise ValueError(f"length={length}; give 2 to {_MOST_TIMES:,} times")
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more")

    generator = Generator().manual_seed(seed)
    labels = torch.randint(len(ANGLES), (sum(_COUNTS),), generator=generator)
    x = draw_series(labels, length, generator)
    train, validation, test = map(Items, x.split(list(_COUNTS)), labels.split(list(_COUNTS)))

    spec = DataSpec((length, 2), -4.0, 4.0, classes=len(ANGLES))
    return Dataset("series", spec, train, validation, test)


def draw_series(
    labels: Int64[Tensor, " n"], length: int, generator: Generator
) -> Float[Tensor, "n length 2"]:
    """Series of these classes.

    Args:
        labels: the index of the angle of each.
        length: times of a series.
        generator: where they are drawn from.
    """
    turn = _rotations()[labels]
    noise = torch.randn(length, len(labels), 2, generator=generator, dtype=torch.float64)
    points = [noise[0]]
    for each in noise[1:]:
        points.append(_mean(points[-1], turn) + _NOISE * each)

    return torch.stack(points, dim=1).float()


def series_log_density(
    x: Float[Tensor, "..."], labels: Int64[Tensor, " n"] | None = None, given: int = 0
) -> Float64[Tensor, " n"]:
    """log p of what follows the first points, in nats: log p(x_{k+1}, ..., x_T | x_1, ..., x_k).

    Args:
        x: series in raw units, (n, length, 2).
        labels: the index of the angle of each; None where it is not known.
        given: k, the number of first points; 0 for the whole series.

    Raises:
        ValueError: for another shape, and a k that leaves nothing.
    """
    if x.ndim != 3 or x.shape[2] != 2:
        raise ValueError(f"x: shape {tuple(x.shape)}; give series of points, (n, length, 2)")
    if not 0 <= given < x.shape[1]:
        raise ValueError(f"given={given} of {x.shape[1]} points; give 0 to {x.shape[1] - 1}")

    each = _log_densities(x.double())  # (n, length, angles)
    if labels is not None:
        own = each.gather(2, labels.reshape(-1, 1, 1).expand(-1, x.shape[1], 1))
        return own[:, given:].sum((1, 2))

    whole, first = each.sum(1), each[:, :given].sum(1)
    return whole.logsumexp(1) - first.logsumexp(1)


def _log_densities(x: Float64[Tensor, "n length 2"]) -> Float64[Tensor, "n length angles"]:
    """log p(x_t | x_{t-1}, theta) for each time and angle."""
    means = _mean(x[:, :-1, None], _rotations())
    later = (x[:, 1:, None] - means) / _NOISE
    first = x[:, :1, None].expand(-1, 1, len(ANGLES), -1)

    square = torch.cat([first, later], dim=1).square().sum(3)
    scale = torch.full((x.shape[1], 1), 2 * math.log(_NOISE), dtype=x.dtype)
    scale[0] = 0.0
    return -square / 2 - scale - math.log(math.tau)


def _mean(point: Float64[Tensor, "... 2"], turn: Float64[Tensor, "... 2 2"]) -> Tensor:
    """r R(theta) x."""
    return DECAY * (turn @ point[..., None])[..., 0]


def _rotations() -> Float64[Tensor, "angles 2 2"]:
    """R(theta) of each angle."""
    angle = torch.tensor(ANGLES, dtype=torch.float64)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
