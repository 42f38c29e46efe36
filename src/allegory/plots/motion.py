"""Items on their way: into noise, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..data.spec import Data
from ..process.path import Level, Path
from ..process.scale import sqrt
from ..sampling.run import State
from .item import is_image, show_all, show_image
from .style import BLUE, GREY, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REACH = 2.6
"""Half the width of a panel of points: of a standard normal, 98 in 100 lie inside."""


def _columns(shape: tuple[int, ...]) -> int:
    return 8 if is_image(shape) else 5


@styled
def noising(path: Path, raw: Shaped[Tensor, "n *shape"], spec: Data, *, seed: int = 0) -> Figure:
    """Items from clean to noise at even times (Luo 2022, figure 3; x_t of eq. 70), log-SNR under each.

    One noise an item, the same at every time, so that one sees it rise. States are divided by
    sqrt(alpha^2 + sigma^2), which keeps their size on every path. Up to four images, or all items in one panel.
    """
    x0 = spec.encode(raw)[: 4 if is_image(spec.shape) else len(raw)]
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
    levels = (path.clean, *path.levels(torch.linspace(0, 1, _columns(spec.shape), dtype=torch.float64)[1:]))
    states = [level.mix(x0, eps) / _size(level) for level in levels]
    page = blank(
        _height(spec.shape, len(x0) if is_image(spec.shape) else 1),
        "From data to noise: each step keeps less of the item",
    )
    axes = _film(page, [states], spec.shape)
    for column, level in zip(axes[-1], levels, strict=True):
        column.set_xlabel(
            "data" if level.sigma == 0 else f"t = {level.t:.2f}\nlog-SNR {number(float(level.log_snr), 1)}", fontsize=10
        )
    return page


@styled
def trajectory(states: Sequence[State], spec: Data) -> Figure:
    """Samples on their way from noise, and below each what the model believes of x0 there.

    `states` are all those of one trajectory, in order. Up to three images, or all items in one panel.
    """
    if not states:
        raise ValueError("states: none; give those of `walk` or `trajectory`, e.g. list(walk(model, seeds=range(3)))")
    picked = sorted({round(i) for i in torch.linspace(0, len(states) - 1, _columns(spec.shape) - 1).tolist()})
    count = 3 if is_image(spec.shape) else len(states[0].x)
    levels = [states[i].belief.level for i in picked]
    on_the_way = [states[i].belief.x_t[:count] / _size(level) for i, level in zip(picked, levels, strict=True)]
    believed = [states[i].belief.x0[:count] for i in picked]
    last = states[-1].x[:count]
    page = blank(
        _height(spec.shape, 2 * count if is_image(spec.shape) else 2),
        "From noise to samples: the state, and what the model believes it will be",
        gap=0.02,
    )
    axes = _film(page, [[*on_the_way, last], [*believed, last]], spec.shape)
    words = [f"log-SNR\n{number(float(level.log_snr), 1)}" for level in levels]
    for column, text in zip(axes[-1], [*words, "sample"], strict=True):
        column.set_xlabel(text, fontsize=10)
    for row, axes_of_row in enumerate(axes):
        believes = row % 2 == 1
        axes_of_row[0].set_ylabel("belief" if believes else "state", fontsize=10, color=BLUE if believes else GREY)
    return page


def _film(page: Figure, films: list[list[Tensor]], shape: tuple[int, ...]) -> list[list[Axes]]:
    """Panels: one row for each image and film (the films of one image together), else one row for each film."""
    rows = len(films) * len(films[0][0]) if is_image(shape) else len(films)
    grid = page.subplots(rows, len(films[0]), squeeze=False)
    for r, row in enumerate(grid):
        film, item = films[r % len(films)], r // len(films)
        for axes, x in zip(row, film, strict=True):
            if is_image(shape):
                show_image(axes, x[item])
            else:
                show_all(axes, x, REACH)
    return [list(row) for row in grid]


def _height(shape: tuple[int, ...], rows: int) -> float:
    """Inches: square panels for images and points, flat ones for rows of cells."""
    each = 0.96 * shape[1] / shape[2] if is_image(shape) else 1.55
    return 0.9 + rows * each


def _size(level: Level) -> float:
    return float(sqrt(level.alpha * level.alpha + level.sigma * level.sigma))
