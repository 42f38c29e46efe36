"""Langevin walkers on the plane: down through the levels of noise, and at the smallest alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.spec import DataSpec
from ..models.base import device_of
from ..process.grid import Grid, grid
from ..process.path import Level, Path
from ..process.prediction import Predict
from ..sampling.driver import trajectory
from ..sampling.initial import initial_noise
from ..sampling.mcmc.chain import chain
from ..sampling.mcmc.langevin import Langevin
from ..sampling.mcmc.ncsn import step_size
from ..sampling.mcmc.target import NoisedDensity
from ..sampling.predictor_corrector import annealed
from .items import show_points
from .noised_plane import check_plane
from .style import BLUE, INK, ORANGE, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS_PER_LEVEL = 5
"""Langevin steps at each level of noise."""
_MOMENTS = 5
_TRAILS = 8
_TRAIL_LEVELS = 5
_HALF_WIDTH = 1.6


@styled
def walkers(predict: Predict, spec: DataSpec, *, seeds: Sequence[int], levels: int = 40) -> Figure:
    """Langevin dynamics of points of the plane from noise (Luo 2022, eq. 158).

    Above, annealed: five steps at each level of noise, from the largest to the smallest (Song &
    Ermon 2019, algorithm 1; the step of their 2020, technique 4). Below, as many steps from the
    same points at the smallest noise alone (section 3.2 there). Shown is x_t/sqrt(alpha^2 +
    sigma^2); the lines are the trajectories of eight points, above over the last five levels.

    Args:
        predict: a Predict of points of the plane; its path has finite ends.
        spec: what the items are.
        seeds: one integer per point.
        levels: levels of noise.

    Raises:
        ValueError: for items of another shape, a path without finite ends, and too few levels.
    """
    check_plane(spec)
    noise_levels = _noise_grid(predict.path, levels)
    kernel = Langevin(step_size(STEPS_PER_LEVEL, _ratio(noise_levels)), STEPS_PER_LEVEL)
    x = initial_noise(predict.path, spec.shape, seeds).to(device_of(predict))
    films = [
        _annealed(kernel, predict, x, noise_levels, seeds),
        _at_the_last_level(kernel, predict, x, noise_levels, seeds),
    ]

    moments = [round(i * levels / (_MOMENTS - 1)) for i in range(_MOMENTS)]
    title = "Langevin walkers: while the noise falls (above), and at the smallest alone (below)"
    page = blank(4.1, title, gap=0.04)
    rows = page.subplots(2, _MOMENTS)

    for panels, film, trail in zip(rows, films, (_TRAIL_LEVELS, levels), strict=True):
        for axes, moment in zip(panels, moments, strict=True):
            _panel(axes, film[max(0, moment - trail) : moment + 1])

    _labels(page.axes, noise_levels, moments)
    return page


def _noise_grid(path: Path, levels: int) -> Grid:
    """`levels` + 1 levels from noise to data, uniform in log-SNR. ValueError for none."""
    if not all(map(math.isfinite, path.schedule.ends)):
        begin, end = path.schedule.ends
        raise ValueError(
            f"path: log-SNR from {begin:g} to {end:g}, and a Langevin step is relative to the noise"
            " of a level; give a schedule with finite ends, e.g. LinearLogSNR(9, -5)"
        )
    if levels < _MOMENTS - 1:
        raise ValueError(
            f"levels={levels}; give at least {_MOMENTS - 1}, one for each moment that is shown"
        )

    return grid(path, levels, "log_snr", "min")


def _ratio(noise_levels: Grid) -> float:
    """sigma/alpha of a level over that of the next."""
    return math.exp((noise_levels.levels[1].log_snr - noise_levels.levels[0].log_snr) / 2)


def _annealed(
    kernel: Langevin,
    predict: Predict,
    x: Float[Tensor, "n 2"],
    noise_levels: Grid,
    seeds: Sequence[int],
) -> Float[Tensor, "time n 2"]:
    """All walkers at every level, the first among them."""
    states = trajectory(predict, x, noise_levels, solver=annealed(kernel), seeds=seeds)
    film = [_shown(x, noise_levels.levels[0]), *(_shown(state.x, state.level) for state in states)]
    return torch.stack(film)


def _at_the_last_level(
    kernel: Langevin,
    predict: Predict,
    x: Float[Tensor, "n 2"],
    noise_levels: Grid,
    seeds: Sequence[int],
) -> Float[Tensor, "time n 2"]:
    """As many steps at the last level only, from the same points as they are shown."""
    last = noise_levels.levels[-1]
    x = x * (float(last.marginal_std) / float(noise_levels.levels[0].marginal_std))
    moved = chain(kernel, NoisedDensity(predict, last), x, noise_levels.steps, seeds=seeds)
    return torch.stack([_shown(x, last), *(_shown(one.x, last) for one in moved)])


def _shown(x: Float[Tensor, "n 2"], level: Level) -> Float[Tensor, "n 2"]:
    return x.float().cpu() / float(level.marginal_std)


def _panel(axes: Axes, film: Float[Tensor, "time n 2"]) -> None:
    """The cloud at the last of these times, and how some of it came there."""
    show_points(axes, film[-1], BLUE, _HALF_WIDTH)
    for trail in film[:, :_TRAILS].unbind(1):
        axes.plot(*trail.T.numpy(), color=INK, linewidth=0.6, alpha=0.7)
    across, up = film[-1, :_TRAILS].T.numpy()
    axes.scatter(across, up, s=14, color=ORANGE, edgecolors=INK, linewidths=0.5, zorder=3)


def _labels(panels: Sequence[Axes], noise_levels: Grid, moments: Sequence[int]) -> None:
    """log-SNR and the steps so far below every panel, the name of its row before the first."""
    for i, axes in enumerate(panels):
        moment = moments[i % _MOMENTS]
        level = noise_levels.levels[moment] if i < _MOMENTS else noise_levels.levels[-1]
        steps = f"\nstep {moment * STEPS_PER_LEVEL}" if i >= _MOMENTS else ""
        axes.set_xlabel(f"log-SNR {number(float(level.log_snr), 1)}{steps}")

    panels[0].set_ylabel("annealed")
    panels[_MOMENTS].set_ylabel("smallest alone")
