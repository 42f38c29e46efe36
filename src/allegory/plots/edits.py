"""The figure of edits: what was given of each item, its edits, their mean and deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.spec import DataSpec
from ..lookup import printable
from .items import mosaic, show_image
from .style import blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 10
_MOST_EDITS = 10
_LETTERS = 14  # of the name of a column
_ROOM = 0.9  # inches for titles


@dataclass(frozen=True, eq=False)
class ShownEdits:
    """What the figure shows, raw.

    Args:
        given: what was given of each item, perhaps smaller than an item or grey; what is missing
            is 0.
        x: the edits, (n, edits, *shape).
        missing: True where a pixel is missing, (n, h, w) or (h, w); None for none.
        truth: the items themselves, where they are known.
        names: of the edits; None counts them.
        summary: whether mean and standard deviation are shown.
    """

    given: Shaped[Tensor, "n *size"]
    x: Shaped[Tensor, "n edits *shape"]
    missing: Bool[Tensor, "*any"] | None = None
    truth: Shaped[Tensor, "n *shape"] | None = None
    names: tuple[str, ...] | None = None
    summary: bool = True


@styled
def edit_figure(shown: ShownEdits, spec: DataSpec, title: str) -> Figure:
    """A row for each item: what was given, its edits, and their mean and standard deviation.

    Missing pixels are grey. The standard deviation is black for 0, and white for the largest of the
    figure.

    Args:
        shown: what to show; of many items and edits the first ones.
        spec: what an item is.
        title: of the figure.
    """
    rows = min(len(shown.x), _MOST_ROWS)
    edits = min(shown.x.shape[1], _MOST_EDITS)
    names, columns = _columns(shown, spec, rows, edits)

    pictures = torch.stack([column.float().cpu() for column in columns], 1).flatten(0, 1)
    height, width = spec.shape[1:]
    tall = rows * height / (len(columns) * width)
    page = blank(min(14.0, _ROOM + 7.6 * tall), title)
    axes = page.subplots()
    show_image(axes, mosaic(pictures, len(columns)))

    places = [i * (width + 1) + width / 2 - 0.5 for i in range(len(columns))]
    is_crowded = sum(map(len, names)) > 80
    axes.xaxis.set_ticks_position("top")
    axes.set_xticks(places, names, rotation=90 if is_crowded else 0)
    axes.tick_params(length=0)
    return page


def _columns(
    shown: ShownEdits, spec: DataSpec, rows: int, edits: int
) -> tuple[list[str], list[Tensor]]:
    """The names and the pictures of the columns, in model space."""
    found = {"input": _given(shown, spec, rows)}
    if shown.truth is not None:
        found["original"] = spec.encode(shown.truth[:rows])

    names = shown.names or tuple(str(i + 1) for i in range(edits))
    for i in range(edits):
        found[f"edit {i}"] = spec.encode(shown.x[:rows, i])
    titles = [*found]
    titles[-edits:] = [printable(name)[:_LETTERS] for name in names[:edits]]

    if shown.summary:
        x = shown.x[:rows].double()
        std = x.std(1, correction=min(1, x.shape[1] - 1))
        found["mean"] = spec.encode(x.mean(1))
        found["std"] = 2 * std / std.max().clamp(min=1e-12) - 1
        titles += ["mean", f"std, to {float(std.max()):.3g}"]
    return titles, [*found.values()]


def _given(shown: ShownEdits, spec: DataSpec, rows: int) -> Tensor:
    """What was given, in model space and in the size and the channels of the items."""
    x = spec.encode(shown.given[:rows])
    if x.shape[-2:] != tuple(spec.shape[1:]):
        x = interpolate(x, size=list(spec.shape[1:]), mode="nearest")
    x = x.expand(-1, spec.shape[0], -1, -1) if x.shape[1] == 1 else x
    if shown.missing is None:
        return x

    missing = shown.missing if shown.missing.ndim == 2 else shown.missing[:rows, None]
    return x.masked_fill(missing.cpu(), 0.0)
