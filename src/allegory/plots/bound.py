"""Figures of the bound: its terms, and other bounds of the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..evaluation.compare import BoundEstimate
from ..evaluation.likelihood import Likelihood
from ..process.bound import Estimate
from .style import BLUE, GREEN, GREY, INK, ORANGE, blank, number, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINEAR_RANGE = 0.1
"""Differences of bits/dim up to here are drawn to scale."""
_COLORS = {"reconstruction": ORANGE, "prior": GREEN, "diffusion": BLUE, "latents": BLUE}


@styled
def bound_terms(
    likelihoods: Mapping[str, Likelihood], others: Mapping[str, Estimate] | None = None
) -> Figure:
    """The terms of each bound (Luo 2022, eq. 58) as a stacked bar in bits/dim, the total with its
    standard error.

    Negative terms, which densities may have, are stacked to the left of zero.

    Args:
        likelihoods: bounds by name.
        others: totals of models that have no terms, to compare with.

    Raises:
        ValueError: without any likelihood.
    """
    if not likelihoods:
        raise ValueError("likelihoods: none; give at least one by name")

    others = others or {}
    names = [*likelihoods, *others]
    page = blank(
        1.5 + 0.85 * len(names), "The bits per item, by term of the bound (lower is better)"
    )
    axes = page.subplots()

    for y, likelihood in enumerate(likelihoods.values()):
        _bar(axes, y, likelihood.terms)
        _total(
            axes,
            y,
            likelihood.total,
            " + ".join(f"{name} {_short(e.mean)}" for name, e in likelihood.terms.items()),
        )

    for y, total in enumerate(others.values(), start=len(likelihoods)):
        axes.barh(y, total.mean, height=0.42, color=GREY, alpha=0.45)
        _total(axes, y, total, "")

    _label_terms(axes, names)
    return page


def _label_terms(axes: Axes, names: Sequence[str]) -> None:
    """Axes and legend of the bars, one per name."""
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="bits/dim", ylim=(len(names) - 0.35, -0.6))
    axes.margins(x=0.02)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.24 * (right - left))  # room for the totals
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2, handlelength=1.2
    )
    axes.tick_params(axis="y", length=0)


def _bar(axes: Axes, y: int, terms: Mapping[str, Estimate]) -> None:
    up = down = 0.0
    for name, cost in terms.items():
        left = up if cost.mean >= 0 else down
        axes.barh(
            y,
            cost.mean,
            left=left,
            height=0.42,
            color=_COLORS[name],
            label=name if y == 0 else None,
        )
        up, down = up + max(cost.mean, 0.0), down + min(cost.mean, 0.0)


def _total(axes: Axes, y: int, total: Estimate, parts: str) -> None:
    """The total at the end of the bar with its error bar, the parts in small type below."""
    axes.errorbar(
        total.mean, y, xerr=total.error, fmt="D", markersize=4, color=INK, capsize=4, elinewidth=1.4
    )
    words = f"{number(total.mean, 3)} ± {total.error:.3f}"
    from matplotlib.patches import Rectangle

    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    own = [bar for bar in bars if abs(bar.get_y() + 0.21 - y) < 0.1]
    end = max(0.0, *(bar.get_x() + bar.get_width() for bar in own))
    axes.annotate(
        words,
        (max(end, total.mean + total.error), y),
        (8, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
    )
    axes.annotate(
        parts, (0, y + 0.26), (2, 0), textcoords="offset points", va="top", fontsize=9.5, color=GREY
    )


def _short(value: float) -> str:
    """Three decimals, or that it is less than they can show."""
    return "<0.001" if 0 < value < 0.0005 else number(value, 3)


@styled
def bounds_compared(bounds: Sequence[BoundEstimate]) -> Figure:
    """One dot per bound: bits/dim less those of the reference, with their standard error.

    The reference is the bound that differs by nothing; its own bits/dim are in the title.

    Args:
        bounds: estimates of several bounds on the same items.

    Raises:
        ValueError: without any.
    """
    if not bounds:
        raise ValueError("bounds: none; give at least one")

    own = next(
        (one for one in bounds if one.difference.mean == 0 and one.difference.error == 0),
        bounds[0],
    )
    page = blank(
        1.5 + 0.45 * len(bounds),
        f"Bounds of the same items, compared with {own.name}: {number(own.bits.mean, 3)} bits/dim",
    )
    axes = page.subplots()

    for y, one in enumerate(bounds):
        _difference(axes, y, one, one is own)

    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(bounds)), [one.name for one in bounds])
    is_wide = max(abs(one.difference.mean) for one in bounds) > _LINEAR_RANGE
    if is_wide:
        axes.set_xscale("symlog", linthresh=_LINEAR_RANGE)
        axes.xaxis.set_major_formatter("{x:g}")  # that of a log scale needs mathematical text
    scale = " (symmetric log scale)" if is_wide else ""
    axes.set(xlabel=f"bits/dim less those of the reference{scale}", ylim=(len(bounds) - 0.5, -0.5))
    axes.margins(x=0.25)
    axes.tick_params(axis="y", length=0)

    return page


def _difference(axes: Axes, y: int, one: BoundEstimate, is_reference: bool) -> None:
    """A dot with its error bar, and its value except for the reference."""
    gap = one.difference
    axes.errorbar(
        gap.mean,
        y,
        xerr=gap.error,
        fmt="o",
        color=INK if is_reference else BLUE,
        capsize=4,
        elinewidth=1.4,
    )

    sign = "+" if gap.mean > 0 else ""
    words = "" if is_reference else f"{sign}{number(gap.mean, 3)} ± {gap.error:.3f}"
    axes.annotate(words, (gap.mean + gap.error, y), (8, 0), textcoords="offset points", va="center")
