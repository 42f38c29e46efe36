"""How items are shown, by their shape.

    (1, H, W), (3, H, W), (4, H, W)   a picture per item: grey, or its first three channels
    (T, 1, H, W), (T, 3, H, W), ...   a film strip per item: its frames from left to right
    (T, 1), (T, 2), ... (T, 8)        a line over time per channel
    (2,)                              a cloud of points for all items
    any other                         a row of coloured cells per item, one per number

All values are in model space, where data are in [-1, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from .style import BLUE, GREEN, ORANGE, PURPLE, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANNELS = (1, 3, 4)
_MOST_LINES = 8
_CLIPS_IN_PANEL = 4


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape are pictures."""
    return len(shape) == 3 and shape[0] in CHANNELS


def is_plane(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape are points of the plane."""
    return shape == (2,)


def is_clip(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape are videos, time first."""
    return len(shape) == 4 and shape[1] in CHANNELS


def is_series(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape are shown as series (time, channels)."""
    return len(shape) == 2 and shape[1] <= _MOST_LINES


def show_image(axes: Axes, x: Float[Tensor, "c h w"]) -> None:
    """The picture x on these `axes`; values outside [-1, 1] are shown as the nearest end."""
    bare(axes)
    pixels = ((x[:3] if len(x) > 1 else x) / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).float().cpu()
    if len(x) == 1:
        axes.imshow(pixels[:, :, 0].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axes.imshow(pixels.numpy(), interpolation="nearest")


def show_points(
    axes: Axes, x: Float[Tensor, "n 2"], color: str = BLUE, reach: float = 1.05
) -> None:
    """A cloud x on the square of half-width `reach` of these `axes`.

    Its dots, of this `color`, are smaller where there are more.
    """
    bare(axes)
    size = max(1.0, min(12.0, 4000.0 / len(x)))
    across, up = x.float().cpu().T.numpy()
    axes.scatter(across, up, s=size, color=color, alpha=0.5, linewidths=0, rasterized=True)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def show_rows(axes: Axes, x: Float[Tensor, "n *shape"]) -> None:
    """One row of cells per item of x on these `axes`: blue at -1, white at 0, red at 1."""
    bare(axes)
    cells = x.flatten(1).float().cpu().numpy()
    axes.imshow(cells, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")


def show_clips(axes: Axes, x: Float[Tensor, "n t c h w"]) -> None:
    """The clips x on these `axes`, one per row, their frames from left to right."""
    show_image(axes, mosaic(x.flatten(0, 1), x.shape[1]))


def show_lines(
    axes: Axes,
    x: Float[Tensor, "t c"],
    first: int = 0,
    style: str = "-",
    width: float = 1.2,
) -> None:
    """A series x on these `axes`, one line per channel.

    Args:
        axes: where.
        x: the series.
        first: the time of its first entry.
        style: of the lines.
        width: of the lines, in points.
    """
    colours = (BLUE, ORANGE, GREEN, PURPLE)
    times = range(first, first + len(x))
    for channel, line in enumerate(x.float().cpu().T.numpy()):
        axes.plot(times, line, style, color=colours[channel % len(colours)], linewidth=width)


def show_all(axes: Axes, x: Float[Tensor, "n *shape"], reach: float = 1.05) -> None:
    """All items x on these `axes`: a cloud of half-width `reach`, or rows of cells; of clips the
    first few, of series the first.
    """
    shape = tuple(x.shape[1:])

    if is_plane(shape):
        show_points(axes, x, reach=reach)
    elif is_clip(shape):
        show_clips(axes, x[:_CLIPS_IN_PANEL])
    elif is_series(shape):
        bare(axes)
        show_lines(axes, x[0])
        axes.set_ylim(-reach, reach)
    else:
        show_rows(axes, x)


def mosaic(x: Float[Tensor, "n c h w"], columns: int) -> Float[Tensor, "c height width"]:
    """The pictures x in rows of `columns`, a white line of one pixel between them."""
    n, c, h, w = x.shape
    rows = -(-n // columns)
    page = torch.ones(c, rows * (h + 1) - 1, columns * (w + 1) - 1)

    for i, picture in enumerate(x.cpu()):
        top, left = (i // columns) * (h + 1), (i % columns) * (w + 1)
        page[:, top : top + h, left : left + w] = picture
    return page
