"""The figure of samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ..data.spec import DataSpec
from ..lookup import printable
from .items import is_image, is_plane, mosaic, show_image, show_points, show_rows
from .style import GREY, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_CLASSES = 20
_MAX_LETTERS = 80  # of all names of classes on one line
_MAX_NAME = 24
_MAX_ROWS = 10
_MAX_IMAGES = 144


@styled
def sample_grid(
    raw: Shaped[Tensor, "n *shape"],
    labels: Int64[Tensor, " n"] | None,
    spec: DataSpec,
    real: Shaped[Tensor, "m *shape"] | None = None,
) -> Figure:
    """Samples: images, one column per class if there are several; points over the real ones;
    others as rows.

    Args:
        raw: raw samples.
        labels: their labels; images without labels, or of one class, fill a square.
        spec: what they are.
        real: items of the data set, for points only.

    Raises:
        ValueError: without samples.
    """
    if len(raw) == 0:
        raise ValueError("raw: no samples; give at least one")

    if is_image(spec.shape):
        return _images(raw, labels, spec)
    if is_plane(spec.shape):
        return _points(raw, spec, real)
    page = blank(
        4.0, f"{min(len(raw), 40)} samples, one per row; blue is the lowest value, red the highest"
    )
    axes = page.subplots()
    show_rows(axes, spec.encode(raw[:40]))
    if spec.columns is not None and sum(map(len, spec.columns)) <= _MAX_LETTERS:
        axes.set_xticks(range(len(spec.columns)), [printable(name) for name in spec.columns])
        axes.tick_params(length=0)

    return page


def _images(raw: Tensor, labels: Tensor | None, spec: DataSpec) -> Figure:
    """One mosaic: its columns are the classes, if there are several."""
    names: list[str] = []
    classes = raw[:0] if labels is None else labels.unique()[:_MAX_CLASSES]
    if labels is None or len(classes) == 1:
        columns = math.ceil(math.sqrt(min(len(raw), _MAX_IMAGES)))
        chosen = raw[: columns * columns]
        title = "samples" if labels is None else f"samples of class {_names(classes, spec)[0]}"
    else:
        rows = min(_MAX_ROWS, *(int((labels == label).sum()) for label in classes))
        by_class = torch.stack([raw[labels == label][:rows] for label in classes], dim=1)
        columns, chosen = len(classes), by_class.flatten(0, 1)
        title, names = "samples, one column per class", _names(classes, spec)
    shown = f"{len(chosen)}" if len(chosen) == len(raw) else f"{len(chosen)} of {len(raw)}"
    tall = -(-len(chosen) // columns) * spec.shape[1] / (columns * spec.shape[2])
    page = blank(min(12.0, 0.9 + 7.6 * tall), f"{shown} {title}")
    axes = page.subplots()
    show_image(axes, mosaic(spec.encode(chosen), columns))
    places = [i * (spec.shape[2] + 1) + spec.shape[2] / 2 - 0.5 for i in range(len(names))]
    is_crowded = sum(map(len, names)) > _MAX_LETTERS
    axes.set_xticks(places, names, rotation=90 if is_crowded else 0)
    axes.tick_params(length=0)

    return page


def _names(classes: Tensor, spec: DataSpec) -> list[str]:
    """The classes as the data have them."""
    return [printable(value)[:_MAX_NAME] for value in spec.class_values(classes).tolist()]


def _points(raw: Tensor, spec: DataSpec, real: Tensor | None) -> Figure:
    """The cloud of samples; with real points also these, and the samples over their density."""
    if real is None:
        page, x = blank(5.0, f"{len(raw)} samples"), spec.encode(raw)
        show_points(page.subplots(), x, ORANGE, 1.1 * x.abs().max().item() or 1.0)
        return page

    page = blank(3.2, "Real points (left), samples (middle), samples over the real density")
    reach = 1.1 * spec.encode(real).abs().max().item()
    left, middle, right = page.subplots(1, 3)
    count = min(len(raw), len(real))
    show_points(left, spec.encode(real[:count]), GREY, reach)
    show_points(middle, spec.encode(raw[:count]), ORANGE, reach)
    x, y = spec.encode(real).T.cpu().numpy()
    right.hist2d(x, y, bins=80, range=[(-reach, reach)] * 2, cmap="Greys")
    show_points(right, spec.encode(raw[:count]), ORANGE, reach)

    return page
