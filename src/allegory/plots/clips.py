"""Figures of items with an axis of time: videos as film strips, series as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..conditions import Combined, Picture
from ..data.items import Items
from ..data.spec import DataSpec
from ..lookup import printable
from .items import show_clips, show_lines
from .style import GREY, blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLIPS = 8
_MOST_PAIRS = 5
_SERIES = (3, 4)  # rows and columns of panels
_MOST_TEXT = 24
_MOST_INCHES = 10.0
_MOST_RATIO = 10.0
"""Of the standard deviations of channels that are drawn on one scale."""


@styled
def clip_grid(samples: Items, spec: DataSpec, real: Items | None = None) -> Figure:
    """Clips as film strips, one per row, the first frames that were given before the others.

    Args:
        samples: raw clips (time, channels, height, width), with their labels or conditions.
        spec: what they are.
        real: items of the data set; where first frames were given, what followed them really is
            below each clip.
    """
    given = given_frames(samples, spec)
    pairs = real is not None and given is not None
    count = min(len(samples), _MOST_PAIRS if pairs else _MOST_CLIPS)
    strips = [spec.encode(samples.x[:count])]
    if real is not None and pairs:
        strips.append(spec.encode(real.x[torch.arange(count) % len(real)]))
    if given is not None:
        strips = [torch.cat([_in_model_space(given[:count], spec), each], 1) for each in strips]
    x = torch.stack(strips, 1).flatten(0, 1).cpu()

    times, height, width = x.shape[1], *spec.shape[2:]
    tall = 0.9 + 7.0 * len(x) * height / (times * width)
    page = blank(min(tall, _MOST_INCHES), _title(count, samples, given))
    axes = page.subplots()
    show_clips(axes, x)
    names = ["sample", "test item"] * count if pairs else _names(samples, spec, count)
    axes.set_yticks([i * (height + 1) + height / 2 for i in range(len(names))], names)
    axes.set_xticks([i * (width + 1) + width / 2 for i in range(times)], _times(times, given))
    axes.tick_params(length=0)

    return page


@styled
def series_grid(samples: Items, spec: DataSpec, real: Items | None = None) -> Figure:
    """Series as lines over time, one panel each and one line per channel, in the data's own unit.

    Where the standard deviations of the channels differ by more than a factor of 10, each channel
    is drawn as (value - mean)/std of what is shown of it, which the title says.

    Args:
        samples: raw series (time, channels), with their labels or conditions.
        spec: what they are.
        real: items of the data set; where first times were given, what followed them really is
            dashed.
    """
    given = given_frames(samples, spec)
    first = 0 if given is None else given.shape[1]
    rows, columns = _SERIES
    count = min(len(samples), rows * columns)
    names = _names(samples, spec, count)

    shown = [samples.x[:count], *([] if given is None else [given[:count]])]
    mean, std = _scales(torch.cat([each.double().cpu().flatten(0, 1) for each in shown]))
    scaled = "" if std is None else ", channels standardized"

    def line(x: Float[Tensor, "t c"]) -> Float[Tensor, "t c"]:
        return x if std is None else (x.double().cpu() - mean) / std

    title = _title(count, samples, given) + scaled
    page = blank(1.0 + 1.5 * -(-count // columns), title)
    panels = page.subplots(-(-count // columns), columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(panels.flatten()):
        if place >= count:
            axes.set_axis_off()
            continue

        if given is not None:
            show_lines(axes, line(given[place]), style="-", width=2.5)
            axes.axvspan(-0.5, first - 0.5, color=GREY, alpha=0.12, linewidth=0)
            if real is not None:
                show_lines(axes, line(real.x[place % len(real)]), first, style=":")
        show_lines(axes, line(samples.x[place]), first)
        axes.set_title(names[place] if names else "", fontsize=9, pad=3)

    return page


def _scales(
    x: Float[Tensor, "n c"],
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"] | None]:
    """Mean and standard deviation of each channel; no deviation where one scale serves all.

    Args:
        x: numbers of each channel; NaN is left out.
    """
    mean = x.nanmean(0)
    std = (x - mean).square().nanmean(0).sqrt()
    varying = std[std > 0]
    if len(varying) == 0 or varying.max() <= _MOST_RATIO * varying.min():
        return mean, None
    return mean, torch.where(std > 0, std, 1.0)


def given_frames(samples: Items, spec: DataSpec) -> Float[Tensor, "n given *frame"] | None:
    """The first frames that samples were given, in the data's own unit; None for none.

    Args:
        samples: with their conditions.
        spec: what they are.
    """
    kind, rows = spec.condition, samples.condition
    if rows is None or kind is None:
        return None

    found = [(kind, rows)]
    if isinstance(kind, Combined):
        parts = zip(kind.names, kind.parts, strict=True)
        found = [(part, kind.part(rows, name)) for name, part in parts]

    for part, each in found:
        if isinstance(part, Picture) and part.shape[1:] == spec.shape[1:]:
            return each[:, : part.shape[0]].cpu()
    return None


def _in_model_space(frames: Tensor, spec: DataSpec) -> Tensor:
    """First frames in the units of the model, 0 where they are hidden."""
    low, high = (end.mean().item() for end in spec.ends())
    return ((frames.double() - (low + high) / 2) / ((high - low) / 2)).float().nan_to_num(0.0)


def _title(count: int, samples: Items, given: Tensor | None) -> str:
    shown = f"{count}" if count == len(samples) else f"{count} of {len(samples)}"
    frames = "" if given is None else f", the first {given.shape[1]} times given"
    return f"{shown} samples{frames}"


def _names(samples: Items, spec: DataSpec, count: int) -> list[str]:
    """The class of each sample, where there is one; nothing without classes."""
    if samples.labels is None or spec.classes is None:
        return []
    values = spec.class_values(samples.labels[:count]).tolist()
    return [printable(value)[:_MOST_TEXT] for value in values]


def _times(times: int, given: Tensor | None) -> list[str]:
    """The number of each frame, from 1; "given" for those that were."""
    first = 0 if given is None else given.shape[1]
    return ["given" if i < first else f"{i + 1}" for i in range(times)]
