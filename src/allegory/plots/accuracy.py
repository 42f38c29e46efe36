"""Figure and sections of a classifier of noisy data, by noise level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.classification import Classification
from .report import Section
from .sections import training_section
from .style import BLUE, GREY, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..process.bound import Estimate


def classifier_sections(
    found: Classification, metrics: Sequence[Mapping[str, float]], unit: str
) -> list[Section]:
    """Accuracy and cross-entropy by noise level, and the training curve.

    Args:
        found: the figures of the classifier.
        metrics: the lines of metrics.jsonl; without them there is no training curve.
        unit: the unit of the training loss.
    """
    clean = found.levels[-1]
    shown = Section(
        "The class by noise level",
        accuracy_over_log_snr(found),
        "How often the most probable class is the true one, and the cross-entropy -log p(y | x_t) "
        "of the true class. Where only noise is left, nothing is known but how frequent a class is "
        "(the dashed line); the gradient of log p(y | x_t) guides samples in between (Luo 2022, "
        "eq. 165 and 166).",
        f"Two curves; at log-SNR {clean.log_snr:.3g} the accuracy is "
        f"{100 * clean.accuracy.mean:.1f} %.",
        f"{found.dataset}, {found.measured} test items, one draw of noise at each of "
        f"{len(found.levels)} levels, band of one standard error",
    )
    return [shown, *([training_section(metrics, unit)] if metrics else [])]


@styled
def accuracy_over_log_snr(found: Classification) -> Figure:
    """Accuracy, and below it cross-entropy, against log-SNR, each with a band of one standard
    error; the line of the frequencies of the classes is dashed.

    Args:
        found: the figures of the classifier.
    """
    page = blank(5.4, "Less noise, more certainty of the class")
    upper, lower = page.subplots(2, 1, sharex=True)
    log_snr = [each.log_snr for each in found.levels]

    _band(upper, log_snr, [each.accuracy for each in found.levels], 100.0, BLUE)
    upper.set(ylabel="accuracy (%)", ylim=(0, 103))

    _band(lower, log_snr, [each.cross_entropy for each in found.levels], 1.0, ORANGE)
    lower.axhline(found.class_entropy, color=GREY, linestyle="--", label="frequency of the class")
    lower.set(
        xlabel="log-SNR   (noise on the left, data on the right)", ylabel="cross-entropy (nats)"
    )
    lower.set_ylim(bottom=0)
    lower.margins(x=0)
    lower.legend()

    return page


def _band(
    axes: Axes, log_snr: list[float], values: list[Estimate], scale: float, color: str
) -> None:
    """The means as a line with points, the standard errors as a band."""
    mean = scale * np.array([each.mean for each in values])
    error = scale * np.array([each.error for each in values])
    axes.plot(log_snr, mean, color=color, linewidth=2, marker="o", markersize=4)
    axes.fill_between(log_snr, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)
    axes.grid(axis="y")
