"""Pictures of densities on the plane show the exact score, density and energy of an oracle."""

import math

import numpy as np
import pytest
import torch
from mpl_toolkits.mplot3d import Axes3D
from tests.helpers.figures import drawn
from tests.helpers.models import untrained

from allegory.data import Dataset, DataSpec, Items
from allegory.models import VDM, Denoiser, Energy
from allegory.networks import MLPConfig
from allegory.plots import energy_surface, field, plane, score_field, walkers
from allegory.plots.field import ARROWS, FACES, PIXELS
from allegory.plots.noised_plane import lattice, noise_levels
from allegory.plots.plane import plane_sections
from allegory.process import Cosine, Empirical, Geometric, LinearLogSNR, Mixture, Path, as_predict

SPEC = DataSpec((2,), -4.0, 4.0)
PATH = Path(Cosine(9.0, -6.0))
MEANS, STD, WEIGHTS = torch.tensor([[-0.6, -0.4], [0.6, 0.2]]), 0.1, torch.tensor([0.2, 0.8])


def mixture(path=PATH):
    return Mixture(MEANS, STD, path=path, weights=WEIGHTS)


def raw(n=400):
    return SPEC.decode(mixture().sample(range(n)))


def score_only(oracle):
    """The same prediction, without its density."""
    return as_predict(lambda x_t, t, condition: oracle(x_t, t, condition), oracle.path)


def clouds(figure):
    """The walkers of every panel, (panels, walkers, 2)."""
    return np.stack([np.asarray(axes.collections[0].get_offsets()) for axes in figure.axes])


def test_arrows_are_the_exact_score():
    x0 = SPEC.encode(raw())
    figure = score_field(mixture(), raw(), SPEC)
    levels = noise_levels(PATH, x0, 4)
    assert len(figure.axes) == 4
    for axes, level in zip(figure.axes, levels, strict=True):
        (quiver,) = axes.collections
        x = torch.tensor(np.asarray(quiver.get_offsets()), dtype=torch.float32)
        assert len(x) == ARROWS**2
        # autograd through the oracle's own log-density, an independent way to its score
        x.requires_grad_()
        (score,) = torch.autograd.grad(mixture().log_prob(x, level).sum(), x)
        shown = torch.tensor(np.stack([quiver.U, quiver.V], 1), dtype=torch.float32)
        size = score.norm(dim=1)
        sure = size * level.sigma > 0.05
        cosine = (shown * score).sum(1) / (shown.norm(dim=1) * size)
        torch.testing.assert_close(cosine[sure], torch.ones_like(cosine[sure]), atol=1e-3, rtol=0)
        gap = x[1, 0] - x[0, 0]
        torch.testing.assert_close(
            shown.norm(dim=1),
            gap * (1 + level.sigma * size).log() / math.log(11),
            rtol=2e-3,
            atol=1e-5,
        )
        assert axes.get_xlabel() == f"log-SNR {level.log_snr:.1f}"


@pytest.mark.parametrize("wrap", [lambda oracle: oracle, score_only])
def test_the_density_is_darkest_at_a_mode(wrap):
    """Of the energy where there is one, of the items otherwise; the heavier mode, as both are
    equally wide.
    """
    figure = score_field(wrap(mixture()), raw(), SPEC)
    level = noise_levels(PATH, SPEC.encode(raw()), 4)[-1]
    (image,) = figure.axes[-1].images
    page = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    row, column = np.unravel_index(page.argmax(), page.shape)
    place = (
        left + (column + 0.5) * (right - left) / PIXELS,
        low + (row + 0.5) * (high - low) / PIXELS,
    )
    assert image.origin == "lower" and page.max() == 1 and page.min() >= 0
    # a kernel estimate from 320 points of a Gaussian has its maximum within a standard deviation
    np.testing.assert_allclose(place, level.alpha * MEANS[1], atol=STD)


def test_without_an_energy_the_density_is_that_of_the_noised_items():
    x0 = SPEC.encode(raw(50))
    figure = score_field(score_only(mixture()), raw(50), SPEC, levels=1)
    (level,) = noise_levels(PATH, x0, 1)
    reach = figure.axes[0].get_xlim()[1]
    exact = Empirical(x0, PATH).log_prob(lattice(reach, PIXELS), level)
    shown = torch.as_tensor(np.asarray(figure.axes[0].images[0].get_array())).flatten()
    torch.testing.assert_close(shown, (exact - exact.max()).exp(), rtol=1e-3, atol=1e-5)


def test_levels_go_from_the_spread_of_the_data_to_its_details():
    x0 = SPEC.encode(raw())
    std = x0.std(0).square().mean().sqrt().item()
    ratios = [level.sigma / level.alpha for level in noise_levels(PATH, x0, 4)]
    np.testing.assert_allclose([ratios[0], ratios[-1]], [0.7 * std, 0.06 * std], rtol=5e-3)
    np.testing.assert_allclose(np.diff(np.log(ratios)), np.log(0.06 / 0.7) / 3, rtol=1e-6)
    # a path that is never so clean or so noisy is shown at its own ends, once
    narrow = noise_levels(Path(LinearLogSNR(3.0, 2.8)), x0, 4)
    assert [level.t for level in narrow] == pytest.approx([1.0, 0.0])
    drawn(
        score_field(
            mixture(Path(Cosine(math.inf, -math.inf))),
            raw(),
            SPEC,
        )
    )


@pytest.mark.parametrize("path", [PATH, Path(Geometric(0.01, 3.0), "ve")])
def test_annealed_walkers_end_on_the_modes_with_their_weights(path):
    n = 120
    figure = walkers(mixture(path), SPEC, seeds=range(n))
    drawn(figure)
    annealed, alone = clouds(figure)[:5], clouds(figure)[5:]
    np.testing.assert_allclose(
        annealed[0], alone[0], atol=1e-5
    )  # they start at the same points on the page
    distance = np.linalg.norm(annealed[-1][:, None] - MEANS.numpy(), axis=2)
    # the norm of a Gaussian in the plane is below 4.3 standard deviations for all but 1 in 10^4
    assert distance.min(1).max() < 4.3 * math.hypot(STD, 0.02)
    share = (distance.argmin(1) == 1).mean()
    assert abs(share - 0.8) < 4 * math.sqrt(0.8 * 0.2 / n)
    # a step at the smallest noise is short, one at the largest as long as the cloud is wide
    assert np.abs(alone[1] - alone[0]).mean() < 0.5 * np.abs(annealed[1] - annealed[0]).mean()
    # at the smallest noise alone, hills between the modes part the walkers: each mode has about the
    # half that is nearer
    other = np.linalg.norm(alone[-1][:, None] - MEANS.numpy(), axis=2)
    assert (other.argmin(1) == 1).mean() < 0.8 - 4 * math.sqrt(0.8 * 0.2 / n)


def test_trails_end_at_the_walkers_and_moments_are_labelled():
    figure = walkers(mixture(), SPEC, seeds=range(20), levels=8)
    for i, axes in enumerate(figure.axes):
        assert len(axes.lines) == 8
        ends = np.array([[line.get_xdata()[-1], line.get_ydata()[-1]] for line in axes.lines])
        np.testing.assert_allclose(
            ends, np.asarray(axes.collections[0].get_offsets())[:8], atol=1e-6
        )
        assert len(axes.lines[0].get_xdata()) == 1 + min(2 * (i % 5), 5 if i < 5 else 8)
    assert figure.axes[0].get_xlabel() == "log-SNR −6.0"
    assert figure.axes[4].get_xlabel() == "log-SNR 9.0"
    assert figure.axes[9].get_xlabel() == "log-SNR 9.0\nstep 40"


def test_a_walker_is_the_same_alone_and_in_a_batch():
    many = clouds(walkers(mixture(), SPEC, seeds=range(5, 25), levels=4))
    few = clouds(walkers(mixture(), SPEC, seeds=[7, 6], levels=4))
    np.testing.assert_allclose(many[:, [2, 1]], few, atol=1e-5)


def test_the_surface_of_an_energy_has_its_minimum_at_a_mode(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        Axes3D, "plot_surface", lambda self, x, y, z, **how: seen.update(x=x, y=y, z=z, **how)
    )
    figure = energy_surface(mixture(), raw(), SPEC)
    level = PATH.levels([0.0])[0]
    x = torch.tensor(np.stack([seen["x"], seen["y"]], -1))
    exact = -mixture().log_prob(x.flatten(0, 1), level).reshape(FACES, FACES)
    own = -mixture().log_prob(level.alpha * SPEC.encode(raw()), level)
    height = (exact - own.min()).clamp(
        min=0
    )  # what no item is as low as would be a well of its own
    np.testing.assert_allclose(seen["z"], height.clamp(max=15), atol=1e-4)
    place = np.unravel_index(exact.argmin(), exact.shape)
    assert seen["z"][place] == seen["z"].min()
    # half a face in each direction, and the two modes are too far apart to shift one another
    np.testing.assert_allclose(
        x[place], level.alpha * MEANS[1], atol=0.5 * float(x[0, 1, 0] - x[0, 0, 0]) + 1e-3
    )
    hidden = seen["facecolors"][:, :, 3] == 0
    corners = torch.stack([height[:-1, :-1], height[1:, :-1], height[:-1, 1:], height[1:, 1:]])
    np.testing.assert_array_equal(hidden, (corners >= 15).all(0))
    items = np.asarray(figure.axes[1].collections[-1].get_offsets())
    np.testing.assert_allclose(items, level.alpha * SPEC.encode(raw())[:150], atol=1e-6)
    assert "nats" in figure.axes[2].get_ylabel()


def test_an_energy_of_clean_data_is_shown_with_a_little_noise(monkeypatch):
    monkeypatch.setattr(field, "FACES", 11)
    path = Path(Cosine(math.inf, -6.0))
    (level,) = noise_levels(path, SPEC.encode(raw()), 1)
    figure = energy_surface(mixture(path), raw(), SPEC)
    assert f"log-SNR {level.log_snr:.1f}" in figure.get_suptitle()


@pytest.mark.parametrize(
    "figure",
    [
        lambda: score_field(mixture(), raw(), SPEC, levels=2),
        lambda: walkers(mixture(), SPEC, seeds=range(9), levels=4),
        lambda: energy_surface(mixture(), raw(), SPEC),
    ],
)
def test_the_same_figure_twice_has_the_same_bytes(figure, monkeypatch):
    monkeypatch.setattr(field, "FACES", 41)
    assert drawn(figure()) == drawn(figure())


def test_data_that_are_not_points_of_the_plane_are_refused():
    images = DataSpec((1, 4, 4), 0.0, 255.0, 256)
    x = torch.zeros(3, 1, 4, 4)
    for refused in (
        lambda: score_field(mixture(), x, images),
        lambda: walkers(mixture(), images, seeds=range(3)),
        lambda: energy_surface(mixture(), x, images),
    ):
        with pytest.raises(ValueError, match=r"spec: items of shape \(1, 4, 4\).*use `noising`"):
            refused()
    for wrong in (raw()[:0], torch.zeros(4, 3)):
        with pytest.raises(ValueError, match=r"raw: shape .* give at least one point"):
            score_field(mixture(), wrong, SPEC)
    with pytest.raises(ValueError, match="levels=0; give at least 1"):
        score_field(mixture(), raw(), SPEC, levels=0)
    with pytest.raises(ValueError, match="levels=3; give at least 4"):
        walkers(mixture(), SPEC, seeds=range(3), levels=3)
    endless = Path(Cosine(9.0, -math.inf))
    with pytest.raises(ValueError, match=r"path: log-SNR from 9 to -inf.*finite ends"):
        walkers(mixture(endless), SPEC, seeds=range(3))


def test_the_sections_that_a_model_has(monkeypatch):
    for module, name, value in ((field, "FACES", 41), (plane, "WALKERS", 9), (plane, "LEVELS", 4)):
        monkeypatch.setattr(module, name, value)
    some = Items(raw(60))
    data = Dataset("two", SPEC, some, some, some)
    denoiser = untrained(SPEC).denoiser
    titles = {
        "score": [part.title for part in plane_sections(untrained(SPEC), data, 0)],
        "endless": [part.title for part in plane_sections(_endless(denoiser), data, 0)],
    }
    assert titles == {
        "score": ["The score field", "Langevin walkers"],
        "endless": ["The score field"],
    }
    model = VDM(Energy(MLPConfig(8, 1).build((2,)), Path(LinearLogSNR(6, -5))), SPEC).train()
    parts = plane_sections(model, data, 4)
    assert [part.title for part in parts] == ["The score field", "Langevin walkers", "The energy"]
    assert model.training
    assert (
        "-grad E" in parts[0].caption
        and "seeds from 4" in parts[1].made
        and "eq. 158" in parts[1].caption
    )
    for part in parts:
        assert part.alt and drawn(part.figure)


def _endless(denoiser):
    """The same network on a path to pure noise, trained without a bound."""
    path = Path(Cosine(9.0, -math.inf))
    return VDM(Denoiser(denoiser.network, path, target="v"), SPEC, objective="simple")
