"""The figure of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .style import BLUE, GREY, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def training_curve(metrics: Sequence[Mapping[str, float]], unit: str = "bits/dim") -> Figure:
    """The training loss against the number of items, with a running mean.

    The first losses may be far above the page: it ends at the largest loss of the last four fifths.

    Args:
        metrics: the lines of metrics.jsonl, one per point.
        unit: the unit of the loss.

    Raises:
        ValueError: without metrics.
    """
    if not metrics:
        raise ValueError("metrics: none; train for at least one step")

    images = np.array([line["images"] for line in metrics], dtype=np.float64)
    loss = np.array([line["loss"] for line in metrics], dtype=np.float64)
    mean = running_mean(loss, np.diff(images, prepend=0.0), max(5, len(loss) // 20))
    page = blank(3.6, "The training loss falls as the model sees more items")
    axes = page.subplots()
    scale, name = (1000.0, "thousand items seen") if images[-1] >= 5000 else (1.0, "items seen")
    axes.plot(
        images / scale, loss, color=GREY, alpha=0.45, linewidth=0.9, label="loss of the batches"
    )
    axes.plot(images / scale, mean, color=BLUE, linewidth=2.2, label="running mean")
    settled = loss[len(loss) // 5 :]
    room = 0.08 * (settled.max() - settled.min()) or 0.5
    axes.set_ylim(settled.min() - room, settled.max() + room)
    axes.set(xlabel=name, ylabel=f"loss ({unit})")
    axes.annotate(
        number(mean[-1], 3),
        (images[-1] / scale, mean[-1]),
        (6, 0),
        textcoords="offset points",
        va="center",
        color=BLUE,
    )
    axes.margins(x=0.01)
    axes.grid(axis="y")
    axes.legend(loc="upper right")

    return page


def running_mean(
    values: NDArray[np.float64], weights: NDArray[np.float64], width: int
) -> NDArray[np.float64]:
    """The mean of each of the `values` and of up to `width` - 1 before it, with these `weights`."""
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - width, 0)
    total, weight = (np.concatenate([[0.0], np.cumsum(a)]) for a in (weights * values, weights))
    mean: NDArray[np.float64] = (total[last] - total[first]) / (weight[last] - weight[first])
    return mean
