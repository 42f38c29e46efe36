"""The figure of samples with their conditions: texts under them, pictures above, or first frames
before them.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from ..conditions import Combined, Picture
from ..data.items import Items
from ..data.spec import DataSpec
from ..data.vocabularies import TextVocabulary
from ..lookup import printable
from .clips import clip_grid, series_grid
from .items import is_clip, is_image, is_series, mosaic, show_image
from .samples import sample_grid
from .style import blank, styled
from .text import text_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 8  # of pictures with pictures
_PER_ROW = 5  # of pictures with texts
_MOST_ROWS = 4
_LETTERS = 26  # of a line
_MOST_LETTERS = 100
_MOST_TEXTS = 16


def grid_of(samples: Items, spec: DataSpec, real: Items | None = None) -> Figure:
    """Samples as `sample_grid` has them; pictures with a condition other than the class with it;
    videos as film strips, and series as lines.

    Args:
        samples: raw, with their labels or conditions.
        spec: what they are.
        real: items of the data set; entry i % len has the condition of sample i.

    Raises:
        ValueError: without samples.
    """
    vocabulary = spec.vocabulary
    if isinstance(vocabulary, TextVocabulary) and len(samples) > 0:
        return text_page(vocabulary.texts(spec.index(samples.x[:_MOST_TEXTS])))
    if len(samples) > 0 and is_clip(spec.shape):
        return clip_grid(samples, spec, real)
    if len(samples) > 0 and is_series(spec.shape):
        return series_grid(samples, spec, real)
    if samples.condition is None or len(samples) == 0 or not is_image(spec.shape):
        return sample_grid(samples.x, samples.labels, spec, None if real is None else real.x)

    pictures = _pictures(samples.condition, spec)
    if pictures is None:
        return _with_texts(samples, spec)
    return _with_pictures(samples, pictures, spec, real)


@styled
def _with_texts(samples: Items, spec: DataSpec) -> Figure:
    """A few samples, the text of its condition under each."""
    assert spec.condition is not None and samples.condition is not None, "from grid_of"
    count = min(len(samples), _PER_ROW * _MOST_ROWS)
    texts = spec.condition.texts(samples.condition[:count])
    columns = min(count, _PER_ROW)
    rows = -(-count // columns)

    page = blank(0.6 + 2.0 * rows, f"{count} of {len(samples)} samples and their conditions")
    grid = page.subplots(rows, columns, squeeze=False).flatten()
    for axes, x, text in zip(grid, spec.encode(samples.x[:count]), texts, strict=False):
        show_image(axes, x)
        short = textwrap.shorten(printable(text), _MOST_LETTERS, placeholder=" ...")
        axes.set_xlabel("\n".join(textwrap.wrap(short, _LETTERS)), fontsize=7)

    for axes in grid[count:]:
        axes.set_axis_off()
    return page


@styled
def _with_pictures(
    samples: Items, pictures: Float[Tensor, "n c h w"], spec: DataSpec, real: Items | None
) -> Figure:
    """Pictures that are the condition, the samples below, and the test items below these."""
    count = min(len(samples), _COLUMNS)
    shown = {"condition": pictures[:count], "sample": spec.encode(samples.x[:count])}
    if real is not None:
        shown["test item"] = spec.encode(real.x[torch.arange(count) % len(real)])

    x = torch.cat([each.float().cpu() for each in shown.values()])
    height, width = spec.shape[1:]
    tall = len(shown) * height / (count * width)
    page = blank(min(8.0, 0.9 + 7.6 * tall), f"{count} of {len(samples)} samples")
    axes = page.subplots()
    show_image(axes, mosaic(x, count))
    axes.set_yticks([i * (height + 1) + height / 2 for i in range(len(shown))], [*shown])
    axes.tick_params(length=0)

    return page


def _pictures(rows: Tensor, spec: DataSpec) -> Float[Tensor, "n c h w"] | None:
    """The pictures of conditions from -1 to 1, in the size of the items; None where there are none.

    Args:
        rows: of the condition.
        spec: of the items.
    """
    kind = spec.condition
    if isinstance(kind, Combined):
        found = [
            (part, kind.part(rows, name))
            for name, part in zip(kind.names, kind.parts, strict=True)
            if isinstance(part, Picture)
        ]
    else:
        found = [(kind, rows)] if isinstance(kind, Picture) else []
    fitting = [
        (part, each) for part, each in found if len(part.shape) == 3 and part.shape[0] in (1, 3)
    ]
    if not fitting:
        return None

    part, each = fitting[0]
    centre, half = part.affine(each.cpu())
    x = ((each[:, : part.shape[0]].cpu() - centre) / half).nan_to_num(0.0)
    x = interpolate(x.float(), size=list(spec.shape[1:]), mode="nearest")
    return x.expand(-1, spec.shape[0], -1, -1) if x.shape[1] == 1 else x[:, : spec.shape[0]]
