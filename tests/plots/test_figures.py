"""Figures of every kind of data: they are drawn without a warning, and show the numbers that they
are given.
"""

import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from tests.helpers.figures import drawn
from tests.helpers.models import toy_digits, untrained

from allegory.data import DataSpec
from allegory.evaluation import BoundConfig, EvaluationConfig, compare_bounds, evaluate_bound
from allegory.likelihood import loss_by_log_snr
from allegory.plots import (
    Section,
    bound_terms,
    bounds_compared,
    loss_over_log_snr,
    marginals,
    noising,
    report,
    sample_grid,
    training_curve,
    trajectory_grid,
)
from allegory.plots.curve import running_mean
from allegory.plots.items import mosaic
from allegory.process import Cosine, Estimate, LinearLogSNR, Path
from allegory.sampling import Sampler

SPECS = {
    "grey": DataSpec((1, 4, 6), 0.0, 255.0, 256, 3),
    "colour": DataSpec((3, 4, 4), 0.0, 255.0, 256, 3),
    "points": DataSpec((2,), -4.0, 4.0),
    "vector": DataSpec((7,), -1.0, 1.0),
    "series": DataSpec((5, 2), 0.0, 1.0),
    "clips": DataSpec((5, 1, 4, 4), 0.0, 16.0, 17),
}


def raw(spec, n=9):
    return spec.decode(torch.rand(n, *spec.shape) * 2 - 1)


def words(figure):
    """All text in the figure."""
    drawn(figure)
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("name", SPECS)
def test_figures_of_items_are_drawn_for_any_shape(name):
    spec = SPECS[name]
    x, labels = raw(spec), torch.arange(9) % 3
    model = untrained(spec)
    states = list(model.trajectory(range(4), sampler=Sampler(steps=9)))
    figures = [
        noising(model.denoiser.path, x, spec),
        trajectory_grid(states, spec),
        sample_grid(x, None, spec),
    ]
    figures += (
        [sample_grid(x, labels, spec)]
        if spec.classes
        else [sample_grid(x, None, spec, real=raw(spec, 50))]
    )
    for figure in figures:
        assert drawn(figure).startswith(b"\x89PNG")
        assert figure.get_size_inches()[0] == 8


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_trajectory_of_few_steps_has_few_columns(steps):
    spec = SPECS["grey"]
    figure = trajectory_grid(
        list(untrained(spec).trajectory(range(1), sampler=Sampler(steps=steps))), spec
    )
    assert len(figure.axes[0].get_xticks()) == steps + 1


def test_a_trajectory_shows_the_state_and_below_it_the_predicted_x0():
    spec = SPECS["grey"]
    states = list(untrained(spec).trajectory(range(2), sampler=Sampler(steps=3)))
    page = (
        trajectory_grid(states, spec).axes[0].images[0].get_array()
    )  # rows: state and prediction of item 0, then of item 1
    for column, state in enumerate(states):
        level = state.prediction.level
        size = math.hypot(level.alpha, level.sigma)
        for row, x in enumerate(
            (
                state.prediction.x_t[0] / size,
                state.prediction.x0[0],
                state.prediction.x_t[1] / size,
                state.prediction.x0[1],
            )
        ):
            shown = page[5 * row : 5 * row + 4, 7 * column : 7 * column + 6]
            np.testing.assert_allclose(shown, (x[0] / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_noising_shows_the_states_of_the_path():
    spec, path = SPECS["grey"], Path(LinearLogSNR(6, -4), "flow")
    x = raw(spec, 2)
    figure = noising(path, x, spec, seed=3)
    page = figure.axes[0].images[0].get_array()  # 4x6 pixels and a white line each
    clean = spec.encode(x)[0, 0] / 2 + 0.5
    np.testing.assert_allclose(page[:4, :6], clean, atol=1e-6)
    (level,) = path.levels([3 / 7])
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    state = (level.alpha * spec.encode(x) + level.sigma * eps) / math.hypot(
        level.alpha, level.sigma
    )
    np.testing.assert_allclose(page[:4, 21:27], (state[0, 0] / 2 + 0.5).clamp(0, 1), atol=1e-5)
    assert f"log-SNR {level.log_snr:.1f}" in words(figure)


def test_infinite_ends_are_shown_too():
    drawn(noising(Path(Cosine(math.inf, -math.inf)), raw(SPECS["colour"], 1), SPECS["colour"]))


def test_a_column_of_the_grid_is_a_class():
    spec = DataSpec((1, 2, 2), 0.0, 2.0, 3, 3)
    labels = torch.tensor([2, 0, 1, 0, 2, 1, 0])
    x = labels[:, None, None, None].expand(-1, 1, 2, 2).to(torch.uint8)
    figure = sample_grid(x, labels, spec)
    page = np.asarray(figure.axes[0].images[0].get_array())
    assert page.shape == (5, 8)
    np.testing.assert_allclose(page[0, [0, 3, 6]], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(page[3, [0, 3, 6]], [0.0, 0.5, 1.0])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]
    assert "6 of 7 samples, one column per class" in words(figure)


def test_samples_of_one_class_fill_a_square():
    spec = DataSpec((1, 2, 2), 0.0, 2.0, 3, 3)
    figure = sample_grid(torch.zeros(16, 1, 2, 2), torch.full((16,), 2), spec)
    assert figure.axes[0].images[0].get_array().shape == (11, 11)
    assert "16 samples of class 2" in words(figure)


def test_classes_are_shown_by_their_name():
    spec = DataSpec((1, 2, 2), 0.0, 2.0, 3, 3, ("cat", "$x_{", "\x1b[0m"))
    x = torch.zeros(6, 1, 2, 2)
    figure = sample_grid(x, torch.arange(6) % 3, spec)
    names = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert names == ["cat", "$x_{", "\\x1b[0m"]
    drawn(figure)
    assert "6 samples of class cat" in words(sample_grid(x, torch.zeros(6).long(), spec))


def test_the_histogram_of_each_number_has_the_fractions():
    """Real items are 0 or 1 and samples 1 or 2, in halves, in every column; 13 panels in 4 rows."""
    spec = DataSpec((5,), (0.0,) * 5, (1.0,) * 5, columns=("a", "b", "c", "$d", "e"))
    real = (torch.arange(40)[:, None] % 2).float().expand(40, 5)
    figure = marginals(real + 1, real, spec)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["a", "b", "c", "$d", "e"]
    for axes in panels:
        given, samples = axes.patches
        for patch, places in ((given, (0, 1)), (samples, (1, 2))):
            values, edges, _ = patch.get_data()
            found = {place: values[np.searchsorted(edges, place) - 1] for place in places}
            assert found == {place: 0.5 for place in places} and values.sum() == 1.0
    drawn(figure)


def test_mosaic_places_pictures_in_reading_order():
    x = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 2) / 10
    page = mosaic(x, columns=2)[0]
    assert page.shape == (5, 5)
    assert (page[0, 0], page[0, 3], page[3, 0], page[3, 3]) == tuple(
        torch.tensor([0.0, 0.1, 0.2, 1.0])
    )


def test_the_figure_of_bound_terms_has_the_numbers():
    data = toy_digits()
    found = evaluate_bound(untrained(data.spec), data.test, BoundConfig(draws=2))
    text = words(bound_terms({"p(x)": found}, {"histogram": Estimate(2.5, 0.125)}))
    assert f"{found.total.mean:.3f} ± {found.total.error:.3f}" in text
    assert f"diffusion {found.diffusion.mean:.3f}" in text
    assert "2.500 ± 0.125" in text and "histogram" in text and "bits/dim" in text


def test_negative_terms_lie_left_of_zero():
    spec = DataSpec((2,), -4.0, 4.0)
    data = type(toy_digits().test)(torch.randn(20, 2))
    found = evaluate_bound(untrained(spec), data, BoundConfig(draws=2))
    assert found.reconstruction.mean < 0
    bars = {
        bar.get_label(): bar
        for bar in bound_terms({"p(x)": found}).axes[0].containers
        if hasattr(bar, "patches")
    }
    (left,), (right,) = bars["reconstruction"].patches, bars["diffusion"].patches
    assert (left.get_x(), left.get_width()) == (0, pytest.approx(found.reconstruction.mean))
    assert right.get_x() + right.get_width() == pytest.approx(
        found.prior.mean + found.diffusion.mean
    )


def test_loss_over_log_snr_is_the_curve_of_the_likelihood():
    data = toy_digits()
    model = untrained(data.spec, conditional=True)
    figure = loss_over_log_snr(model, data.test.x, data.test.labels, seed=4, points=6)
    hidden, known = figure.axes[0].lines
    log_snr, nats = loss_by_log_snr(
        model.denoiser,
        data.spec.encode(data.test.x),
        seeds=range(4, 4 + len(data.spec.encode(data.test.x))),
        points=6,
    )
    bits = nats.mean(1) / (4 * math.log(2))
    np.testing.assert_allclose(hidden.get_xdata(), log_snr)
    np.testing.assert_allclose(hidden.get_ydata(), bits, rtol=1e-5)
    assert not np.allclose(known.get_ydata(), bits)
    assert f"p(x): area {bits.mean().item() * 11:.2f} bits/dim" in words(figure)


def test_training_curve_and_its_running_mean():
    lines = [{"images": 128.0 * (i + 1), "loss": 3.0 + 5.0 / (i + 1)} for i in range(60)]
    text = words(training_curve(lines, "elbo"))
    assert "loss (elbo)" in text and "thousand items seen" in text
    drawn(training_curve(lines[:1]))
    got = running_mean(np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 3.0]), 2)
    np.testing.assert_allclose(got, [1.0, 1.5, 5.0])


def test_the_settings_of_the_user_stay_and_do_not_matter():
    def page():
        lines = [{"images": 128.0 * (i + 1), "loss": 1.0 / (i + 1)} for i in range(9)]
        return report("run", [], [Section("", training_curve(lines), "", "", "")])

    plain = page()
    with matplotlib.rc_context(
        {"font.size": 30.0, "lines.linewidth": 9.0, "ytick.direction": "in"}
    ):
        assert page() == plain
        assert matplotlib.rcParams["font.size"] == 30.0


def test_importing_the_plots_does_not_import_matplotlib():
    heavy = "('matplotlib', 'sklearn', 'scipy')"
    code = f"import sys, allegory.plots; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_to_show_is_refused():
    data = toy_digits()
    with pytest.raises(ValueError, match="no samples"):
        sample_grid(data.test.x[:0], None, data.spec)
    with pytest.raises(ValueError, match="states: none"):
        trajectory_grid([], data.spec)
    with pytest.raises(ValueError, match="likelihoods: none"):
        bound_terms({})
    with pytest.raises(ValueError, match="metrics: none"):
        training_curve([])
    with pytest.raises(ValueError, match="at least two"):
        loss_over_log_snr(untrained(data.spec), data.test.x[:1])


def test_compared_bounds_show_their_differences():
    data = toy_digits(classes=None)
    readings = compare_bounds(
        untrained(data.spec), data.test, EvaluationConfig(draws=3), steps=(3, 10)
    )
    page = bounds_compared(readings)
    drawn(page)
    axes = page.axes[0]
    assert axes.get_xscale() == "symlog"
    assert all("$" not in label.get_text() for label in axes.get_xticklabels())
    assert [label.get_text() for label in axes.get_yticklabels()] == [one.name for one in readings]
    shown = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert shown == pytest.approx([one.difference.mean for one in readings])
    reference = next(one for one in readings if one.name == "VLB, continuous time")
    assert f"{reference.name}: {reference.bits.mean:.3f}" in page.get_suptitle()
    with pytest.raises(ValueError, match="none"):
        bounds_compared([])
