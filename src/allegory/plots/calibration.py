"""Figures of a calibration: rank histograms, expected coverage, and items with their draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..evaluation.calibration.coverage import Coverage, region_coverage
from ..evaluation.calibration.draws import PosteriorDraws
from ..evaluation.calibration.ranks import RankTest
from ..evaluation.calibration.result import Calibration
from ..inverse.operators.base import LinearOperator
from .items import is_image, show_image, show_rows
from .report import Section
from .style import BLUE, GREY, INK, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TWO_SIDED_99 = 2.576
_COLUMNS = 4
_DRAWN = 4
"""Draws of each item that are shown."""


def calibration_sections(found: Calibration) -> list[Section]:
    """Items with their posterior draws, rank histograms, and expected coverage.

    Args:
        found: a calibration.
    """
    made = (
        f"{found.task}; method {found.method}; {found.items} items and {found.draws} draws of "
        f"each; items by {found.chain}; seed {found.seed}"
    )
    worst = ", ".join(each.name for each in found.rejections) or "none"
    nine = found.regions[2]
    pictures = is_image(tuple(found.shown.truth.shape[1:]))
    shown = "pictures of " if pictures else ""
    rows = (
        "Each row is an item of the model, its measurement carried back to an item, the mean "
        "and the standard deviation of the posterior draws, and some of the draws."
        if pictures
        else "Each group is an item of the model (i) and, below it, some of its posterior draws; a "
        "column for each number, in model units."
    )

    return [
        Section(
            "Items and posterior draws",
            draws_figure(found.shown),
            rows,
            f"Rows of {shown}items with their measurements and posterior draws.",
            made,
        ),
        Section(
            "Ranks of the truth among the draws",
            rank_histograms(found),
            "Under the exact posterior every rank is equally frequent; 99 % of the bars are in the "
            "grey band then. A cup means that the draws are too narrow, a hill that they are too "
            "wide, a slope that they are too small (rising) or too large (Talts et al. 2018). "
            "Functions of x alone do not see a method that ignores y; the log-likelihood does "
            "(Modrak et al. 2023). Orange: rejected, all tests taken together.",
            f"Histograms of ranks; rejected: {worst}.",
            made,
        ),
        Section(
            "Expected coverage",
            coverage_figure(found),
            "How often a region of each credibility holds the item: balls around a draw from the "
            "prior (TARP, Lemos et al. 2023). Below the diagonal the draws are too sure. 99 % of "
            "exact curves are in the band at each credibility. The diamond is the coverage of the "
            "central 90 % intervals of the numbers of an item, with its standard error.",
            f"A curve of coverage by credibility; regions of 90 % cover {100 * nine.mean:.1f} %.",
            made,
        ),
    ]


@styled
def rank_histograms(found: Calibration) -> Figure:
    """A histogram of ranks per function, with the band of exact ranks.

    Args:
        found: a calibration.
    """
    tests = [*found.ranks, found.tarp]
    rejected = {each.name for each in found.rejections}
    rows = math.ceil(len(tests) / _COLUMNS)
    page = blank(0.6 + 1.75 * rows, found.summary, gap=0.08)
    panels = page.subplots(rows, _COLUMNS, squeeze=False).flatten()

    for panel, test in zip(panels, tests, strict=False):
        name = "TARP" if test is found.tarp else f"ranks of {test.name}"
        _histogram(panel, test, ORANGE if name in rejected else BLUE)
    for panel in panels[len(tests) :]:
        panel.set_visible(False)

    return page


def _histogram(axes: Axes, test: RankTest, color: str) -> None:
    """The bars of one function, the band, and its name and p-value above."""
    counts = np.array(test.counts)
    count, cells = counts.sum(), len(counts)
    mean = count / cells
    reach = _TWO_SIDED_99 * math.sqrt(mean * (1 - 1 / cells))

    axes.axhspan(max(0.0, mean - reach), mean + reach, color=GREY, alpha=0.22, linewidth=0)
    axes.axhline(mean, color=GREY, linewidth=0.8)
    axes.bar(range(cells), counts, width=0.86, color=color)
    p = f"{test.p:.2f}" if test.p >= 0.01 else f"{test.p:.0e}"
    name = "TARP, distance to r" if test.name.startswith("distance from a ref") else test.name
    axes.set_title(f"{name}\np = {p}", fontsize=9, pad=4)
    axes.set(ylim=(0, max(1.12 * counts.max(), 1.3 * (mean + reach))))
    axes.set_xticks([0, cells - 1])
    axes.set_yticks([])
    axes.tick_params(labelsize=8)


@styled
def coverage_figure(found: Calibration) -> Figure:
    """The expected coverage of TARP, its difference from the credibility, and its band.

    Args:
        found: a calibration.
    """
    page = blank(3.6, "Expected coverage by credibility", gap=0.1)
    left, right = page.subplots(1, 2)
    curve = _curve(found)
    level = np.array([each.level for each in curve])
    mean = np.array([each.mean for each in curve])
    reach = _TWO_SIDED_99 * np.sqrt(level * (1 - level) / found.items)

    for axes, base in ((left, level), (right, 0 * level)):
        axes.fill_between(level, base - reach, base + reach, color=GREY, alpha=0.22, linewidth=0)
        axes.plot(level, base, color=INK, linewidth=0.8)
        axes.plot(level, mean - level + base, color=BLUE, linewidth=2, label="regions of TARP")
        inside = found.intervals
        place = inside.mean - (0 if axes is left else inside.level)
        axes.errorbar(
            inside.level,
            place,
            yerr=inside.error,
            fmt="D",
            color=ORANGE,
            markersize=5,
            capsize=3,
            label="central intervals",
        )
        axes.set(xlabel="credibility", xlim=(0, 1))
        axes.grid(axis="y")
    left.set(ylabel="coverage", ylim=(0, 1))
    right.set(ylabel="coverage less credibility")
    left.legend(loc="upper left")

    return page


def _curve(found: Calibration) -> list[Coverage]:
    """The coverage at equally spaced credibilities, from the histogram of ranks."""
    counts = torch.tensor(found.tarp.counts)
    ranks = torch.arange(len(counts)).repeat_interleave(counts)
    inside = [i / 50 for i in range(1, 50)]
    return [
        Coverage(0.0, 0.0, 0.0),
        *region_coverage(ranks, found.draws, inside),
        Coverage(1.0, 1.0, 0.0),
    ]


@styled
def draws_figure(shown: PosteriorDraws) -> Figure:
    """Items, their measurements carried back, mean, standard deviation and some draws.

    Args:
        shown: some items with their draws.
    """
    heads = ["item", "measured", "mean", "std", *["draw"] * min(_DRAWN, shown.draws.shape[1])]
    if not is_image(tuple(shown.truth.shape[1:])):
        return _rows_figure(shown)

    count = len(shown.truth)
    page = blank(0.5 + 0.95 * count, f"{count} items and draws given their measurements")
    panels = page.subplots(count, len(heads), squeeze=False)
    std = shown.draws.double().std(1)
    top = float(std.max()) or 1.0
    back = _carried_back(shown)

    for i, row in enumerate(panels):
        mean = shown.draws[i].double().mean(0)
        pictures = [shown.truth[i], back[i], mean, 2 * std[i] / top - 1, *shown.draws[i][:_DRAWN]]
        for axes, picture in zip(row, pictures, strict=False):
            show_image(axes, picture.float())
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(f"{head}, 0 to {top:.2g}" if head == "std" else head, fontsize=9, pad=4)

    return page


def _rows_figure(shown: PosteriorDraws) -> Figure:
    """Items that are no pictures: a row of cells for each, and below it its draws."""
    drawn = min(_DRAWN, shown.draws.shape[1])
    page = blank(
        0.6 + 0.22 * len(shown.truth) * (drawn + 2),
        f"{len(shown.truth)} items (i) and {drawn} draws of each; blue is low, red high",
    )
    axes = page.subplots()
    cells = [
        torch.cat([shown.truth[i : i + 1].flatten(1), shown.draws[i, :drawn].flatten(1)])
        for i in range(len(shown.truth))
    ]
    reach = float(torch.cat(cells).abs().max()) or 1.0
    gap = torch.zeros(1, cells[0].shape[1], dtype=cells[0].dtype)
    show_rows(axes, torch.cat([torch.cat([each, gap]) for each in cells]) / reach)
    axes.set_yticks([i * (drawn + 2) for i in range(len(cells))], ["i"] * len(cells))
    axes.tick_params(length=0)

    return page


def _carried_back(shown: PosteriorDraws) -> Tensor:
    """A^+ y as items; grey where the operator is not linear."""
    measurement = shown.measurement.to(shown.truth.double())
    if not isinstance(measurement.operator, LinearOperator):
        return torch.zeros_like(shown.truth)
    return measurement.operator.pseudo_inverse(measurement.y)
