"""Points of the plane under noise: their density, and the levels and lattice of its figures."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..models.base import device_of
from ..process.empirical import Empirical
from ..process.path import Level, Path
from ..process.prediction import Predict
from ..sampling.mcmc.target import NoisedDensity
from .items import is_plane

_BATCH = 1024
_MAX_NOISE = 0.7
_MIN_NOISE = 0.06
"""sigma/alpha of the noisiest and of the cleanest field, in standard deviations of the data: with
more noise there is one cloud, with less there are single points.
"""


def points(raw: Shaped[Tensor, "n *shape"], spec: DataSpec) -> Float[Tensor, "n 2"]:
    """The `raw` items of this `spec` in model space.

    Raises:
        ValueError: unless they are points of the plane, at least one.
    """
    check_plane(spec)
    if tuple(raw.shape[1:]) != spec.shape or len(raw) == 0:
        raise ValueError(f"raw: shape {tuple(raw.shape)}; give at least one point, (n, 2)")
    return spec.encode(raw).cpu()


def check_plane(spec: DataSpec) -> None:
    """ValueError unless the items of the `spec` are points of the plane."""
    if not is_plane(spec.shape):
        raise ValueError(
            f"spec: items of shape {spec.shape}, and only points of the plane, (2,), can be seen "
            "this way; use "
            "`noising`, `trajectory` or `sample_grid`, which show items of any shape"
        )


def noise_levels(path: Path, x0: Float[Tensor, "n 2"], count: int) -> tuple[Level, ...]:
    """Levels from noisy to clean, by the standard deviation s of the items.

    sigma/alpha is geometric from 0.7 s to 0.06 s; a single level is the cleanest. Levels beyond an
    end of the path are replaced by that end, once.

    Args:
        path: the forward process.
        x0: items in model space.
        count: number of levels; fewer are returned where several are beyond an end.

    Raises:
        ValueError: for no level.
    """
    if count < 1:
        raise ValueError(f"levels={count}; give at least 1")

    std = max(float(x0.std(0, correction=0).square().mean().sqrt()), 1e-3)
    wanted = -2 * torch.linspace(
        math.log(_MIN_NOISE * std), math.log(_MAX_NOISE * std), count, dtype=torch.float64
    )
    start, end = path.schedule.ends
    log_snr = wanted.clamp(end, start).unique()  # from the lowest, which is the noisiest

    with torch.no_grad():
        return path.levels(path.schedule.inverse(log_snr).clamp(0, 1))


def lattice(reach: float, count: int) -> Float[Tensor, "n 2"]:
    """The `count` x `count` points of a lattice on the square of half-width `reach`.

    They are in rows from below, each row from the left.
    """
    line = torch.linspace(-reach, reach, count)
    up, across = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([across.flatten(), up.flatten()], 1)


def log_noised_density(
    predict: Predict, level: Level, data: Float[Tensor, "k 2"], x: Float[Tensor, "n 2"]
) -> Float[Tensor, " n"]:
    """log p(x_t) up to a constant.

    Args:
        predict: with an energy it gives the density itself.
        level: the Level of x_t.
        data: items, whose density under the path's noise is taken for a predict without an energy.
        x: the points x_t.
    """
    own = NoisedDensity(predict, level).log_density if hasattr(predict, "energy") else None
    of = own or (lambda part: Empirical(data, level.path).log_prob(part, level))
    device = device_of(predict) if own else data.device
    with torch.no_grad():
        return torch.cat([of(part.to(device)).float().cpu() for part in x.split(_BATCH)])
