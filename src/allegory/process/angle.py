r"""The angle of a noise level, in which the probability flow is bounded at both ends.

With h = sqrt(alpha^2 + sigma^2) and z = x_t/h every path becomes variance preserving,

    z = cos(theta) x0 + sin(theta) eps        tan(theta) = sigma/alpha = exp(-log_snr/2)

with theta from 0 (clean data) to pi/2 (pure noise), and its probability flow is

    dz/dtheta = v(z, theta)        v = cos(theta) E[eps | z] - sin(theta) E[x0 | z]

(Salimans & Ho 2022, appendix D; Lu & Song 2024).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..numerics.broadcast import expand_like
from .coefficients import Coefficient, sqrt
from .path import Level, Path, precise
from .prediction import Prediction, Target


def norm(level: Level) -> Coefficient:
    """h = sqrt(alpha^2 + sigma^2), for x_t = h z."""
    return sqrt(level.alpha * level.alpha + level.sigma * level.sigma)


UNIT_V = Target("unit_v", lambda level: (-level.sigma / norm(level), level.alpha / norm(level)))
"""v of z = x_t/h, the slope dz/dtheta."""


def angle(level: Level) -> Float[Tensor, "..."]:
    """theta = atan(exp(-log_snr/2)) of a Level, in float64; 0 for clean data."""
    log_snr = level.precise_log_snr
    if not isinstance(log_snr, Tensor):
        log_snr = torch.tensor(log_snr, dtype=torch.float64)
    return torch.atan(torch.exp(-log_snr / 2))


def turn(t: Level, s: Level, like: Tensor) -> Tensor:
    """The angle from t to s, subtracted in float64, in the dtype of `like`.

    Args:
        t: the first Level.
        s: the second.
        like: the data.
    """
    return (angle(s) - angle(t)).to(like)


def unit_state(x_t: Float[Tensor, "b *shape"], level: Level) -> Float[Tensor, "b *shape"]:
    """z = x_t/h.

    Args:
        x_t: states, (b, *shape).
        level: their Level.
    """
    return x_t / norm(level)


def velocity(prediction: Prediction) -> Float[Tensor, "b *shape"]:
    """v = cos(theta) eps - sin(theta) x0 of a prediction."""
    return prediction.view(UNIT_V)


def angle_range(path: Path) -> tuple[float, float]:
    """The angles of t = 0 and t = 1 on a path."""
    first, last = (math.atan(math.exp(min(-end / 2, 700.0))) for end in path.schedule.ends)
    return first, last


def level_at_angle(path: Path, theta: Float[Tensor, "..."], like: Tensor | None = None) -> Level:
    """The Level with these angles, one per item, through which derivatives in theta pass.

    Angles beyond the ends of the path keep their log-SNR; their time is that of the end.

    Args:
        path: the forward process.
        theta: one per item, (b,), or one, (); from 0 to pi/2.
        like: the data, (b, *shape), that the Level shall broadcast against.
    """
    log_snr = -2 * torch.log(torch.tan(theta.to(precise(theta.device))))
    with torch.no_grad():
        t = path.schedule.inverse(log_snr).clamp(0.0, 1.0)
    dtype = torch.float64 if like is None else torch.promote_types(like.dtype, torch.float32)
    if like is not None and log_snr.ndim:
        log_snr, t = expand_like(log_snr, like), expand_like(t, like)
    return Level(path, t, log_snr, dtype)
