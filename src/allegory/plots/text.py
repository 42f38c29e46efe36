"""Text in a figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..lookup import printable
from .style import blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LETTERS, _LINES = 96, 4
"""Letters of a line, and lines of a text, that are shown."""


@styled
def text_page(texts: Sequence[str], names: Sequence[str] | None = None) -> Figure:
    """Texts below each other, each in a few lines.

    Args:
        texts: what is shown.
        names: a word before each; None for numbers.
    """
    labels = [f"{i + 1}." for i in range(len(texts))] if names is None else names
    wrapped = [textwrap.wrap(printable(text), _LETTERS)[:_LINES] or [""] for text in texts]
    lines = sum(map(len, wrapped)) + len(wrapped)

    page = blank(0.5 + 0.17 * lines, "Text")
    axes = page.subplots()
    axes.set_axis_off()
    axes.set_ylim(lines, 0)
    axes.set_xlim(0, 1)

    line = 0
    for label, parts in zip(labels, wrapped, strict=True):
        axes.text(0.0, line, label, fontsize=7, va="top")
        for part in parts:
            axes.text(0.09, line, part, fontsize=7, va="top", family="monospace", parse_math=False)
            line += 1
        line += 1
    return page
