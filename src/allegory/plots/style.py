"""One look for all figures: sizes, colours and typefaces.

Figures are made without pyplot, so they need no screen and leave no global state. The colours are
those of Okabe & Ito (2008), which people with any kind of colour vision tell apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
GREY = "#6B6B6B"
INK = "#222222"
FAINT = "#DDDDDD"
WIDTH = 8.0
"""Inches: the width of a column of the report."""

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and has every sign that is used
    "font.size": 11.0,
    "text.parse_math": False,  # names of classes and columns may hold any sign
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 11.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "figure.titlesize": 12.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def boxed_signs() -> Iterator[None]:
    """Signs that the typeface lacks, in names and in text, are drawn as boxes without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


@contextmanager
def style() -> Iterator[None]:
    """Draw in this style inside, whatever the user's own settings are.

    Ticks take theirs when they are first drawn.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def styled(figure: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """The same function, making its figure in this style."""

    @wraps(figure)
    def inside(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        with style():
            return figure(*args, **kwargs)

    return inside


def blank(height: float, title: str, gap: float = 0.05) -> Figure:
    """A white page of the report's width.

    Args:
        height: in inches.
        title: what is seen.
        gap: inches between panels.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=gap, h_pad=gap, wspace=0.0, hspace=0.0)
    page = Figure(figsize=(WIDTH, height), layout=room)
    page.suptitle(title, x=0.01, ha="left")

    return page


def number(value: float, digits: int) -> str:
    """The `value` with so many `digits` after the point, and a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def bare(axes: Axes) -> None:
    """Take frame and ticks from the `axes`; labels stay."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
