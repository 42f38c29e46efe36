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
from .field import check_plane
from .items import show_points
from .style import BLUE, INK, ORANGE, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS_A_LEVEL, MOMENTS, TRAILS, TRAIL, REACH = 5, 5, 8, 5, 1.6


@styled
def walkers(predict: Predict, spec: DataSpec, *, seeds: Sequence[int], levels: int = 40) -> Figure:
    """Langevin walkers from noise (Luo 2022, eq. 158), one a seed; lines are the ways of eight,
    above through the last five levels.

    Above, annealed: five steps at each level of noise, from the largest to the smallest (Song &
    Ermon 2019, algorithm 1; the step of their 2020, technique 4). Below, as many steps from the
    same places at the smallest noise alone (section 3.2 there). Shown is x_t/sqrt(alpha^2 +
    sigma^2). ValueError for a path without finite ends.
    """
    check_plane(spec)
    path = predict.path
    way = _way(path, levels)
    kernel = Langevin(step_size(STEPS_A_LEVEL, _ratio(way)), STEPS_A_LEVEL)
    x = initial_noise(path, spec.shape, seeds).to(device_of(predict))
    films = [
        _annealed(kernel, predict, path, x, way, seeds),
        _alone(kernel, predict, x, way, seeds),
    ]
    moments = [round(i * levels / (MOMENTS - 1)) for i in range(MOMENTS)]
    page = blank(
        4.1,
        "Langevin walkers: while the noise falls (above), and at the smallest alone (below)",
        gap=0.04,
    )
    for panels, film, trail in zip(page.subplots(2, MOMENTS), films, (TRAIL, levels), strict=True):
        for axes, moment in zip(panels, moments, strict=True):
            _panel(axes, film[max(0, moment - trail) : moment + 1])
    _labels(page.axes, way, moments)
    return page


def _way(path: Path, levels: int) -> Grid:
    """So many levels and the last, from noise to data, even in log-SNR. ValueError for a path that
    has not got them.
    """
    if not all(map(math.isfinite, path.schedule.ends)):
        begin, end = path.schedule.ends
        raise ValueError(
            f"path: log-SNR from {begin:g} to {end:g}, and a Langevin step is counted in the noise "
            "of a level; give a "
            "schedule with finite ends, e.g. LinearLogSNR(9, -5)"
        )
    if levels < MOMENTS - 1:
        raise ValueError(
            f"levels={levels}; give at least {MOMENTS - 1}, one for each moment that is shown"
        )
    return grid(path, levels, "log_snr", "min")


def _ratio(way: Grid) -> float:
    """sigma/alpha of a level over that of the next."""
    return math.exp((way.levels[1].log_snr - way.levels[0].log_snr) / 2)


def _annealed(
    kernel: Langevin,
    predict: Predict,
    path: Path,
    x: Float[Tensor, "n 2"],
    way: Grid,
    seeds: Sequence[int],
) -> Float[Tensor, "time n 2"]:
    """All walkers at every level, the first among them."""
    states = trajectory(predict, x, way, solver=annealed(kernel), seeds=seeds)
    film = [_seen(x, way.levels[0]), *(_seen(state.x, state.level) for state in states)]
    return torch.stack(film)


def _alone(
    kernel: Langevin, predict: Predict, x: Float[Tensor, "n 2"], way: Grid, seeds: Sequence[int]
) -> Float[Tensor, "time n 2"]:
    """The same at the last level only, from where the others are seen to start."""
    last = way.levels[-1]
    x = x * (float(last.marginal_std) / float(way.levels[0].marginal_std))
    moved = chain(kernel, NoisedDensity(predict, last), x, way.steps, seeds=seeds)
    return torch.stack([_seen(x, last), *(_seen(one.x, last) for one in moved)])


def _seen(x: Float[Tensor, "n 2"], level: Level) -> Float[Tensor, "n 2"]:
    return x.float().cpu() / float(level.marginal_std)


def _panel(axes: Axes, film: Float[Tensor, "time n 2"]) -> None:
    """The cloud at the last of these times, and how some of it came there."""
    show_points(axes, film[-1], BLUE, REACH)
    for trail in film[:, :TRAILS].unbind(1):
        axes.plot(*trail.T.numpy(), color=INK, linewidth=0.6, alpha=0.7)
    across, up = film[-1, :TRAILS].T.numpy()
    axes.scatter(across, up, s=14, color=ORANGE, edgecolors=INK, linewidths=0.5, zorder=3)


def _labels(panels: Sequence[Axes], way: Grid, moments: Sequence[int]) -> None:
    """log-SNR and the steps so far below every panel, the name of its row before the first."""
    for i, axes in enumerate(panels):
        moment = moments[i % MOMENTS]
        level = way.levels[moment] if i < MOMENTS else way.levels[-1]
        steps = f"\nstep {moment * STEPS_A_LEVEL}" if i >= MOMENTS else ""
        axes.set_xlabel(f"log-SNR {number(float(level.log_snr), 1)}{steps}")
    panels[0].set_ylabel("annealed")
    panels[MOMENTS].set_ylabel("smallest alone")
