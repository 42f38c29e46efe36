"""The figure of the numbers of an item one by one: histograms of samples and of test items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..data.columns import number_name
from ..data.spec import DataSpec
from ..lookup import printable
from .style import FAINT, GREY, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 4
_BINS = 40
_LETTERS = 24
_SHOWN = (0.005, 0.995)
_ROOM = 0.15


@styled
def marginals(
    samples: Shaped[Tensor, "n *shape"], real: Shaped[Tensor, "m *shape"], spec: DataSpec
) -> Figure:
    """The histogram of each number of an item, of samples and of real items, in the data's unit.

    Args:
        samples: raw samples.
        real: raw items of the data.
        spec: what they are.
    """
    across = min(_ACROSS, spec.dims)
    down = -(-spec.dims // across)
    title = "Each number alone: test items (grey) and samples (orange)"
    page = blank(0.7 + 1.9 * down, title, gap=0.1)
    panels = np.asarray(page.subplots(down, across, squeeze=False)).flatten()

    drawn, given = (each.flatten(1).double().cpu().T.numpy() for each in (samples, real))
    names = spec.columns or [number_name(spec.shape, None, i) for i in range(spec.dims)]
    for place in range(spec.dims):
        _panel(panels[place], drawn[place], given[place])
        panels[place].set_title(printable(names[place])[:_LETTERS], fontsize=10)
    for empty in panels[spec.dims :]:
        empty.set_visible(False)
    return page


def _panel(axes: Axes, drawn: NDArray[np.float64], given: NDArray[np.float64]) -> None:
    """The two histograms of one number, over what nearly all real items and samples take."""
    ends = np.array([np.quantile(each, _SHOWN) for each in (drawn, given)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    room = _ROOM * (high - low) or 0.5
    edges = np.linspace(low - room, high + room, _BINS + 1)

    axes.stairs(_fractions(given, edges), edges, fill=True, color=FAINT, edgecolor=GREY)
    axes.stairs(_fractions(drawn, edges), edges, color=ORANGE, linewidth=1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=3)


def _fractions(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fraction of all values in each bin."""
    return np.histogram(values, edges)[0] / len(values)
