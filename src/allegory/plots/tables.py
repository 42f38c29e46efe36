"""Figures of samples of a table and of its rows: columns alone, pairs, correlations, distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from torch import Tensor

from ..data.table_schema import Column, TableSchema
from ..evaluation.table_distances import ColumnDistance
from ..evaluation.table_neighbours import Nearness
from ..lookup import printable
from .style import BLUE, FAINT, GREY, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 16
"""Columns that are drawn alone."""
_ACROSS = 4
_BINS = 30
_LETTERS = 22
_SHOWN = (0.005, 0.995)
_ROOM = 0.05
_BARS = 8
"""Values of a column that have a bar of their own."""
_PAIRS = 3
_POINTS = 1000
_SIZE = 5
_FEATURES = 24
_LEVELS = 6
"""Columns of more values have no correlations."""
_MISSING = "missing"


@styled
def column_marginals(
    real: Float64[Tensor, "n dims"],
    samples: Float64[Tensor, "m dims"],
    schema: TableSchema,
    names: Sequence[str],
) -> Figure:
    """Each column alone: rows of the table in grey, samples in orange.

    Args:
        real: raw rows of the table.
        samples: raw rows of the model.
        schema: what they are.
        names: of the columns that are drawn.
    """
    across = min(_ACROSS, len(names))
    down = -(-len(names) // across)
    page = blank(0.7 + 1.9 * down, "Each column alone: the table (grey), samples (orange)", gap=0.1)
    panels = np.asarray(page.subplots(down, across, squeeze=False)).flatten()

    for axes, name in zip(panels, names, strict=False):
        column = schema.column(name)
        draw = _bars if column.is_token else _histograms
        draw(axes, column, [_cells(rows, schema, column) for rows in (real, samples)])
        axes.set_title(printable(name)[:_LETTERS], fontsize=10)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    for empty in panels[len(names) :]:
        empty.set_visible(False)
    return page


def _cells(
    rows: Float64[Tensor, "n dims"], schema: TableSchema, column: Column
) -> NDArray[np.float64]:
    """The numbers or codes of a column, NaN where a number is missing."""
    place, *indicator = schema.places(column.name)
    cells = rows[:, place].double().cpu().numpy().copy()
    if indicator:
        cells[rows[:, indicator[0]].cpu().numpy() == 1] = np.nan
    return cells


def _histograms(axes: Axes, column: Column, both: list[NDArray[np.float64]]) -> None:
    """Histograms of numbers over what nearly all take, and a bar for those that are missing."""
    present = [each[np.isfinite(each)] for each in both]
    if min(map(len, present)) == 0:
        return

    ends = np.array([np.quantile(each, _SHOWN) for each in present])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    edges = _edges(column, low, high)

    for cells, values, style in zip(both, present, _STYLES, strict=True):
        axes.stairs(np.histogram(values, edges)[0] / len(cells), edges, **style)

    gone = [1 - len(values) / len(cells) for values, cells in zip(present, both, strict=True)]
    if max(gone) > 0:
        table, drawn = (f"{100 * each:.1f}" for each in gone)
        axes.set_xlabel(f"{_MISSING}: {table} %, samples {drawn} %", fontsize=8)
    axes.tick_params(labelsize=8)
    ticks = np.linspace(low, high, 3)
    texts = [column.text(tick) for tick in np.rint(ticks)] if column.is_date else None
    if texts is not None:
        axes.set_xticks(ticks, [text[:10] for text in texts], fontsize=7)
    else:
        axes.locator_params(axis="x", nbins=3)


def _edges(column: Column, low: float, high: float) -> NDArray[np.float64]:
    """Edges of bins, between whole numbers where the column has such."""
    if column.is_whole:
        step = max(1, round((high - low) / _BINS))
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 0.5 + step, step)
    room = _ROOM * (high - low) or 0.5
    return np.linspace(low - room, high + room, _BINS + 1)


_STYLES: tuple[dict[str, Any], ...] = (
    {"fill": True, "color": FAINT, "edgecolor": GREY},
    {"color": ORANGE, "linewidth": 1.6},
)


def _bars(axes: Axes, column: Column, both: list[NDArray[np.float64]]) -> None:
    """Bars of the values that are most frequent, of all others, and of missing ones."""
    names, fractions = fractions_of(column, both)
    places = np.arange(len(names))
    axes.bar(places, fractions[0], 0.8, color=FAINT, edgecolor=GREY)
    axes.hlines(fractions[1], places - 0.4, places + 0.4, color=ORANGE, linewidth=2.4)

    longest = max(map(len, names))
    is_long = longest * len(names) > 24
    axes.set_xticks(
        places,
        [name[:10] for name in names],
        fontsize=7 if is_long else 8,
        rotation=60 if is_long else 0,
        ha="right" if is_long else "center",
        rotation_mode="anchor",
    )


def fractions_of(
    column: Column, both: Sequence[NDArray[np.float64]]
) -> tuple[list[str], NDArray[np.float64]]:
    """Names of values, and the fraction of each in several sets of codes.

    Args:
        column: of finitely many values.
        both: codes of each set; the first says which values are most frequent.

    Returns:
        Names, with "others" for all but the most frequent ones, and "missing"; their shares in
        each set, (sets, names).
    """
    assert column.values is not None
    count = len(column.values)
    whole = np.array(
        [np.bincount(each.astype(int), minlength=column.levels) / len(each) for each in both]
    )
    order = np.arange(count)
    if count > _BARS:
        order = np.argsort(-whole[0, :count], kind="stable")[: _BARS - 1]
    names = [column.text(column.values[place]) for place in order]
    parts = [whole[:, order]]

    if count > _BARS:
        rest = np.setdiff1d(np.arange(count), order)
        names, parts = [*names, "others"], [*parts, whole[:, rest].sum(1, keepdims=True)]
    if column.missing:
        names, parts = [*names, _MISSING], [*parts, whole[:, count:]]
    return names, np.concatenate(parts, axis=1)


def strongest_pairs(real: Float64[Tensor, "n dims"], schema: TableSchema) -> list[tuple[str, str]]:
    """The pairs of columns of numbers with the largest rank correlations, at most three.

    Args:
        real: raw rows of the table.
        schema: what they are.
    """
    columns = [schema.column(name) for name in schema.numbers]
    cells = [_cells(real, schema, column) for column in columns]
    found = []

    for first in range(len(cells)):
        for second in range(first):
            both = np.isfinite(cells[first]) & np.isfinite(cells[second])
            if both.sum() > 2:
                ranks = [
                    np.argsort(np.argsort(each[both])) for each in (cells[second], cells[first])
                ]
                size = abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
                found.append((size, (columns[second].name, columns[first].name)))

    return [pair for _, pair in sorted(found, key=lambda each: -each[0])[:_PAIRS]]


@styled
def pairs(
    real: Float64[Tensor, "n dims"],
    samples: Float64[Tensor, "m dims"],
    schema: TableSchema,
    chosen: Sequence[tuple[str, str]],
) -> Figure:
    """Pairs of columns of numbers: rows of the table on the left, samples on the right.

    Args:
        real: raw rows of the table.
        samples: raw rows of the model.
        schema: what they are.
        chosen: names of the columns of each pair.
    """
    page = blank(
        0.7 + 2.6 * len(chosen), "Pairs of columns: the table (left), samples (right)", 0.1
    )
    panels = np.asarray(page.subplots(len(chosen), 2, squeeze=False))
    count = min(_POINTS, len(real), len(samples))

    for row, (first, second) in zip(panels, chosen, strict=True):
        for axes, rows, color in zip(row, (real, samples), (GREY, ORANGE), strict=True):
            x, y = (_cells(rows[:count], schema, schema.column(name)) for name in (first, second))
            axes.plot(x, y, ".", markersize=_SIZE, alpha=0.5, color=color, markeredgewidth=0)
            axes.set_xlabel(printable(first)[:_LETTERS], fontsize=9)
            axes.tick_params(labelsize=8)
        row[0].set_ylabel(printable(second)[:_LETTERS], fontsize=9)
        _same_window(row, [_cells(real, schema, schema.column(n)) for n in (first, second)])
    return page


def _same_window(row: Any, cells: Sequence[NDArray[np.float64]]) -> None:
    """Both panels show what nearly all rows of the table take."""
    for values, ends in zip(cells, ("xlim", "ylim"), strict=True):
        low, high = np.nanquantile(values, _SHOWN)
        room = 2 * _ROOM * (high - low) or 0.5
        for axes in row:
            axes.set(**{ends: (low - room, high + room)})


def correlations(
    rows: Float64[Tensor, "n dims"], schema: TableSchema
) -> tuple[list[str], NDArray[np.float64]]:
    """Names of numbers and of values of columns, and their correlations.

    A missing number is at the mean of its column; what does not vary has no correlation (0).

    Args:
        rows: raw rows.
        schema: what they are.
    """
    names: list[str] = []
    features: list[NDArray[np.float64]] = []
    for column in schema.columns:
        if not (column.is_number or (column.is_token and column.levels <= _LEVELS)):
            continue
        cells = _cells(rows, schema, column)
        if column.is_number:
            names.append(column.name)
            features.append(np.where(np.isfinite(cells), cells, np.nanmean(cells)))
            continue
        assert column.values is not None
        labels = [*map(column.text, column.values), *([_MISSING] if column.missing else [])]
        shown = labels[1:] if len(labels) == 2 else labels
        names += [f"{column.name} = {label}" for label in shown]
        skipped = len(labels) - len(shown)
        features += [(cells == place + skipped).astype(float) for place in range(len(shown))]

    stacked = np.stack(features[:_FEATURES]) if features else np.zeros((0, len(rows)))
    centred = stacked - stacked.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1))
    unit = np.divide(
        centred, length[:, None], out=np.zeros_like(centred), where=length[:, None] > 0
    )
    return names[:_FEATURES], unit @ unit.T


@styled
def correlation_figure(
    real: Float64[Tensor, "n dims"], samples: Float64[Tensor, "m dims"], schema: TableSchema
) -> Figure:
    """Correlations of the columns: in the table on the left, in samples on the right.

    Args:
        real: raw rows of the table.
        samples: raw rows of the model.
        schema: what they are.
    """
    names, _ = correlations(real, schema)
    page = blank(4.4, "Correlations: the table (left), samples (right)")
    panels = np.asarray(page.subplots(1, 2, squeeze=False))[0]
    shown: Any = None

    for axes, rows in zip(panels, (real, samples), strict=True):
        matrix = correlations(rows, schema)[1]
        is_below: Bool[NDArray[Any], "k k"] = np.tri(len(names), k=-1, dtype=bool)
        shown = axes.imshow(np.where(is_below, matrix, np.nan), cmap="RdBu", vmin=-1, vmax=1)
        texts = [printable(name)[:_LETTERS] for name in names]
        axes.set_xticks(range(len(names)), texts, fontsize=7, rotation=90)
        axes.set_yticks(range(len(names)), texts if rows is real else [], fontsize=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
    page.colorbar(shown, ax=list(panels), shrink=0.6, aspect=30).ax.tick_params(labelsize=8)
    return page


@styled
def distance_figure(columns: Sequence[ColumnDistance]) -> Figure:
    """The distances from test rows by column, of samples and of training rows.

    Args:
        columns: the distances.
    """
    kinds = [
        (True, "Wasserstein-1, standard deviations"),
        (False, "total variation"),
    ]
    groups = [
        (label, [c for c in columns if c.is_number is is_number and c.samples is not None])
        for is_number, label in kinds
    ]
    groups = [(label, group) for label, group in groups if group]
    sizes = [len(group) for _, group in groups]
    title = "Distance of samples from test rows (orange), of training rows from them (grey)"
    page = blank(1.0 + 0.27 * sum(sizes) + 0.5 * len(groups), title, 0.1)
    panels = np.asarray(page.subplots(len(groups), 1, squeeze=False, height_ratios=sizes))[:, 0]

    for axes, (label, group) in zip(panels, groups, strict=True):
        places = np.arange(len(group))[::-1]
        means = [c.samples.mean for c in group if c.samples is not None]
        errors = [c.samples.error for c in group if c.samples is not None]
        axes.errorbar(means, places, xerr=errors, fmt="o", color=ORANGE, markersize=5)
        train = [np.nan if c.train is None else c.train for c in group]
        axes.plot(train, places, "|", color=GREY, markersize=11, markeredgewidth=2)
        axes.set_yticks(places, [printable(c.name)[:_LETTERS] for c in group], fontsize=9)
        axes.set_xlabel(label, fontsize=9)
        axes.set_xlim(left=0)
        axes.set_ylim(-0.6, len(group) - 0.4)
        axes.grid(axis="x")
    return page


@styled
def neighbour_figure(found: Nearness) -> Figure:
    """The distances of samples and of test rows to the nearest training row, cumulatively.

    Args:
        found: the distances.
    """
    page = blank(3.4, "Distance to the nearest training row")
    axes = page.subplots()

    for values, color, name in (
        (found.test, GREY, "test rows"),
        (found.samples, ORANGE, "samples"),
    ):
        edges = np.sort(values.cpu().numpy())
        axes.ecdf(edges, color=color, linewidth=2, label=f"{name}, median {np.median(edges):.3g}")

    axes.axhline(0.5, color=BLUE, linewidth=0.8, alpha=0.5)
    axes.set(xlabel="distance (standard deviations; 1 for another value)", ylabel="fraction nearer")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")
    return page
