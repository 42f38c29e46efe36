"""Figures of a calibration show the counts and the coverage that they are given; parts of a report
replace those of the same key and outlive a new page.
"""

import math

import matplotlib
import pytest
import torch
from tests.helpers.figures import drawn

from allegory.evaluation.calibration import CalibrationConfig, PosteriorDraws, compare
from allegory.inverse import measure
from allegory.inverse.operators import operator_named
from allegory.plots import (
    calibration_sections,
    coverage_figure,
    draws_figure,
    rank_histograms,
    report,
)
from allegory.plots.report_parts import keep_parts, part_html, with_part


def card(shape, scale=1.0):
    """Draws that ignore y, `scale` times as wide as the prior."""
    generator = torch.Generator().manual_seed(0)
    truth, references = (torch.randn(60, *shape, generator=generator) for _ in range(2))
    draws = scale * torch.randn(60, 5, *shape, generator=generator)
    name = "lower_half" if len(shape) == 3 else "identity"
    measurement = measure(operator_named(name, shape), truth, 10.0)
    made = PosteriorDraws(truth, references, measurement, draws)
    return compare(made, CalibrationConfig(task="half <of> it", method="mmps"))


def words(figure):
    """All text in the figure."""
    drawn(figure)
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4), (2,), (5,), (3, 2)])
def test_sections_are_drawn_for_any_shape(shape):
    parts = calibration_sections(card(shape))
    assert len(parts) == 3
    for part in parts:
        drawn(part.figure)
        assert "half <of> it" in part.made and "seed 0" in part.made
    assert "&lt;of&gt;" in report("a title", [], parts)


def test_the_bars_are_the_counts_and_orange_where_rejected():
    found = card((1, 4, 4), scale=0.3)
    figure = rank_histograms(found)
    panels = figure.axes[: len(found.ranks) + 1]
    names = [panel.get_title("left").split("\n")[0] for panel in panels]
    assert names == [*(test.name for test in found.ranks), "TARP, distance to r"]

    for panel, test in zip(panels, [*found.ranks, found.tarp], strict=True):
        bars = [patch for patch in panel.patches if patch.get_width() < 1]
        assert [bar.get_height() for bar in bars] == list(test.counts)

    rejected = {each.name for each in found.rejections}
    orange = matplotlib.colors.to_rgba("#E69F00")
    for name, panel in zip(names[:-1], panels, strict=False):
        assert (panel.patches[-1].get_facecolor() == orange) == (f"ranks of {name}" in rejected)
    assert "ranks of norm" in rejected and "ranks of log-likelihood" in rejected
    assert f"mmps: rejected by {len(rejected)} of 9 tests" in words(figure)


def test_the_curve_is_the_expected_coverage():
    found = card((5,))
    figure = coverage_figure(found)
    x, y = figure.axes[0].lines[1].get_data()
    for each in found.regions:
        if each.level != 0.95:
            place = round(50 * each.level)
            assert x[place] == pytest.approx(each.level)
            assert y[place] == pytest.approx(each.mean, abs=1e-12)
    assert (y[0], y[-1]) == (0, pytest.approx(1))


def test_pictures_show_the_item_the_measurement_and_the_spread():
    found = card((1, 4, 4))
    figure = draws_figure(found.shown)
    first = [axes.images[0].get_array() for axes in figure.axes[:8]]
    item = (found.shown.truth[0, 0] / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(torch.tensor(first[0]), item, atol=1e-6)
    assert (first[1][2:] == 0.5).all()  # the lower half is not measured
    top = float(found.shown.draws.double().std(1).max())
    std = found.shown.draws[0, :, 0].double().std(0) / top
    assert torch.allclose(torch.tensor(first[3]).double(), std, atol=1e-6)
    assert f"std, 0 to {top:.2g}" in words(figure)


def test_a_part_replaces_the_one_of_its_key_and_outlives_a_new_page():
    one = part_html("first <1>", [("a", 1.0, 0.5, "%")], [])
    page = with_part(None, "key 1", one, "title")
    assert page.count("first &lt;1&gt;") == 1 and page.count("<h1>title</h1>") == 1
    page = with_part(page, "key 2", part_html("second", [], []), "another title")
    page = with_part(page, "key 1", part_html("third", [], []), "another title")
    assert "first" not in page and page.index("third") < page.index("second")
    assert page.count("<h1>") == 1 and page.endswith("</main></body></html>\n")

    new = keep_parts(report("new", [("b", math.pi, None, "")], []), page)
    assert "<h1>new</h1>" in new and "3.14" in new
    assert new.count("third") == 1 and new.count("second") == 1
    assert keep_parts("same\n</main></body></html>\n", None) == "same\n</main></body></html>\n"
    assert with_part("no report", "k", one, "title").count("<h1>title</h1>") == 1
