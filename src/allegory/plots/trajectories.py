"""Figures of the forward process and of a sampling trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..process.coefficients import sqrt
from ..process.path import Level, Path
from ..sampling.driver import State
from .items import is_image, mosaic, show_all, show_image
from .style import blank, number, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HALF_WIDTH = 2.6
"""Half the width of a panel of points: of a standard normal, 98 in 100 lie inside."""

Film = Sequence[Float[Tensor, "n *shape"]]
"""The same items at one time after the other."""


@styled
def noising(
    path: Path, raw: Shaped[Tensor, "n *shape"], spec: DataSpec, *, seed: int = 0
) -> Figure:
    """The forward process: x_t of items at equally spaced times (Luo 2022, figure 3 and eq. 70).

    One noise per item, the same at every time. States are divided by sqrt(alpha^2 + sigma^2), which
    keeps their size on every path.

    Args:
        path: the forward process.
        raw: raw items; up to four images, or all other items together.
        spec: what they are.
        seed: seed of the noise.
    """
    x0 = spec.encode(raw)[: 4 if is_image(spec.shape) else len(raw)]
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(0, 1, _columns(spec.shape), dtype=torch.float64)[1:]
    levels = path.levels(times)
    film = [x0, *(level.mix(x0, eps) / _size(level) for level in levels)]
    names = [f"t = {level.t:.2f}\nlog-SNR {number(float(level.log_snr), 1)}" for level in levels]

    return _show(
        "From data to noise: each step keeps less of the item", [film], ["data", *names], [""]
    )


@styled
def trajectory_grid(states: Sequence[State], spec: DataSpec) -> Figure:
    """The states of a sampling trajectory, and below each the prediction of x0 there.

    Args:
        states: all states of one trajectory, in order; up to three images are shown, or all other
            items together.
        spec: what the items are.

    Raises:
        ValueError: without states.
    """
    if not states:
        raise ValueError(
            "states: none; give those of a trajectory, e.g. list(model.trajectory(seeds=range(3)))"
        )

    places = torch.linspace(0, len(states) - 1, _columns(spec.shape) - 1).tolist()
    predictions = [states[i].prediction for i in sorted({round(place) for place in places})]
    count = 3 if is_image(spec.shape) else len(states[0].x)
    last = states[-1].x[:count]
    films = [
        [*(prediction.x_t[:count] / _size(prediction.level) for prediction in predictions), last],
        [*(prediction.x0[:count] for prediction in predictions), last],
    ]
    names = [f"log-SNR\n{number(float(prediction.level.log_snr), 1)}" for prediction in predictions]
    title = "From noise to samples: the state, and what the model predicts it will be"

    return _show(title, films, [*names, "sample"], ["state", "prediction"])


def film_rows(
    title: str, films: Sequence[Film], columns: Sequence[str], rows: Sequence[str]
) -> Figure:
    """Films below each other, without more: image by image, or all items together.

    Args:
        title: of the figure.
        films: of each row, the same items in model space, column by column.
        columns: the name of each column.
        rows: the name of each row.
    """
    return _show(title, films, columns, rows)


def _show(title: str, films: Sequence[Film], columns: Sequence[str], rows: Sequence[str]) -> Figure:
    """Films below each other: image by image, or all items together."""
    shape = tuple(films[0][0].shape[1:])
    return (_pictures if is_image(shape) else _panels)(title, films, columns, rows)


def _pictures(
    title: str, films: Sequence[Film], columns: Sequence[str], rows: Sequence[str]
) -> Figure:
    """One mosaic: for each image a row a film."""
    items, (height, width) = len(films[0][0]), films[0][0].shape[2:]
    pictures = torch.stack([x[item].cpu() for item in range(items) for film in films for x in film])
    tall = items * len(films)
    page = blank(1.0 + 7.2 * tall * height / (len(columns) * width), title)
    axes = page.subplots()
    show_image(axes, mosaic(pictures, len(columns)))
    axes.set_xticks([i * (width + 1) + (width - 1) / 2 for i in range(len(columns))], columns)
    axes.set_yticks([i * (height + 1) + (height - 1) / 2 for i in range(tall)], [*rows] * items)
    axes.tick_params(length=0)

    return page


def _panels(
    title: str, films: Sequence[Film], columns: Sequence[str], rows: Sequence[str]
) -> Figure:
    """A row of panels a film."""
    page = blank(0.9 + 1.55 * len(films), title, gap=0.04)
    grid = page.subplots(len(films), len(columns), squeeze=False)
    for axes_of_film, film, row in zip(grid, films, rows, strict=True):
        axes_of_film[0].set_ylabel(row)
        for axes, x in zip(axes_of_film, film, strict=True):
            show_all(axes, x, _HALF_WIDTH)

    for axes, column in zip(grid[-1], columns, strict=True):
        axes.set_xlabel(column)

    return page


def _columns(shape: tuple[int, ...]) -> int:
    return 8 if is_image(shape) else 5


def _size(level: Level) -> float:
    return float(sqrt(level.alpha * level.alpha + level.sigma * level.sigma))
