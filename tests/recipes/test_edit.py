"""Edits: variations, other conditions, interpolation. On an exact denoiser, in the data's units."""

import pytest
import torch
from tests.helpers.models import untrained

from allegory import Mixture
from allegory.data import DataSpec
from allegory.inverse import Mask, Measurement
from allegory.process import LinearLogSNR, Path
from allegory.recipes.edit import EditConfig, edit, edit_by_inversion, interpolations, variations
from allegory.sampling import Sampler, invert, sample, slerp

SPEC = DataSpec((2,), -10.0, 10.0, classes=2)
PATH = Path(LinearLogSNR(8, -7), "vp")


class Exact:
    """Two Gaussians, a class each, as a model of data from -10 to 10."""

    spec, unit, conditional = SPEC, "nats", True

    def __init__(self):
        means = torch.tensor([[0.6, 0.6], [-0.6, -0.2]], dtype=torch.float64)
        stds = torch.tensor([0.1, 0.1]).double()
        self.denoiser = Mixture(means, stds, path=PATH, labels=torch.tensor([0, 1]))

    def loss(self, batch, generator): ...
    def sample(self, seeds, condition=None, sampler=None, *, batch=250, on_step=None): ...
    def trajectory(self, seeds, condition=None, sampler=None, *, on_step=None): ...


def config(steps=60, **choices):
    return EditConfig(Sampler("auto", steps, "angle"), **choices)


X = torch.tensor([[6.5, 5.5], [-5.0, -2.5]])


def test_little_noise_leaves_the_item_and_much_forgets_it():
    model = Exact()
    near = variations(model, X, range(300), config=config(strength=0.02))
    assert near.x.shape == (2, 300, 2)
    # sigma/alpha = 0.031 in model space is 0.31 in the data's unit, and the posterior is narrower.
    assert (near.x - X[:, None]).abs().max() < 1.5
    far = variations(model, X, range(300), condition=[0, 1], config=config(strength=0.95))
    # With nearly no signal the edits are samples: N(mean, 1) in the data's unit, 5 standard errors.
    means = 10 * model.denoiser.means.float()
    torch.testing.assert_close(far.mean.float(), means, rtol=0, atol=0.3)
    torch.testing.assert_close(far.std.float(), torch.ones(2, 2), rtol=0, atol=0.21)


def test_edits_of_a_measurement_are_draws_of_the_posterior():
    """Of N(m, 1) in each number and y = x_1 + 0.5 eps: x_1 is N(m + 0.8 (y - m), 0.2), and x_2 is
    as it was. 5 standard errors of 400 draws.
    """
    model = Exact()
    seen = Measurement(Mask(torch.tensor([True, False])), torch.tensor([[7.0, 0], [-5.0, 0]]), 0.5)
    found = edit(model, seen, range(400), condition=[0, 1], config=config(40))
    mean = 10 * model.denoiser.means.float()
    mean[:, 0] += 0.8 * (torch.tensor([7.0, -5.0]) - mean[:, 0])
    std = torch.tensor([0.2**0.5, 1.0]).expand(2, 2)
    assert ((found.mean.float() - mean).abs() < 5 * std / 20).all()
    assert ((found.std.float() / std - 1).abs() < 5 / 800**0.5).all()

    alone = edit(model, seen.rows([1]), [7], condition=1, config=config(40, batch=1))
    torch.testing.assert_close(alone.x[0, 0], found.x[1, 7])


def test_the_strength_of_variations_is_a_half():
    model = Exact()
    assert torch.equal(
        variations(model, X, [3], config=config()).x,
        variations(model, X, [3], config=config(strength=0.5)).x,
    )


def test_another_condition_keeps_the_place_within_the_class():
    """The flow of a Gaussian keeps z, the standard deviations from the mean; at t = 1 the mean is
    alpha_1 times that of the class.
    """
    model = Exact()
    mean, (noise, data) = model.denoiser.means.float(), PATH.levels([1.0, 0.0])
    std = [(0.01 * level.alpha**2 + level.sigma**2) ** 0.5 for level in (noise, data)]
    z = (X / 10 - mean) * data.alpha / std[1]
    moved = z[:, None] + noise.alpha * (mean[:, None] - mean) / std[0]
    expected = 10 * (mean + moved * std[1] / data.alpha)
    found = edit_by_inversion(model, X, [0, 1], source=[0, 1], config=config(100)).x
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)

    one = edit_by_inversion(model, X[:1], torch.tensor([1]), source=0, config=config(100))
    assert torch.equal(one.x[0], found[0, 1:])
    back = edit_by_inversion(model, X, None, config=config(100)).x[:, 0]
    torch.testing.assert_close(back, X, rtol=0, atol=0.02)


def test_interpolation_is_slerp_of_the_latents():
    model = Exact()
    found = interpolations(model, X, 3, condition=[0, 1], config=config(100))
    assert found.x.shape == (1, 3, 2)
    torch.testing.assert_close(found.x[0, [0, 2]], X, rtol=0, atol=0.02)

    sampler = Sampler("auto", 100, "angle", "min")
    grid, labels = sampler.grid(PATH), torch.tensor([0, 1])
    x_T = invert(model.denoiser, X / 10, grid, solver="auto", condition=labels)
    middle = slerp(x_T[:1], x_T[1:], 0.5)
    end = sample(model.denoiser, middle, grid, solver="auto", condition=labels[:1])
    torch.testing.assert_close(found.x[0, 1], 10 * end[0] / grid.levels[-1].alpha)


@pytest.mark.parametrize("solver", ["dpmpp2m", "ddpm"])
def test_an_edit_is_the_same_alone_and_in_any_batch(solver):
    """Its item, its condition and its seed alone decide."""
    model = untrained(DataSpec((1, 3, 3), 0.0, 16.0, 17, 2), conditional=True)
    x = torch.randint(0, 17, (3, 1, 3, 3)).float()
    chosen = EditConfig(Sampler(solver, 6), batch=4)
    rows = torch.tensor([0, 1, -1])
    whole = variations(model, x, range(5), rows, chosen).x
    alone = variations(model, x[1:2], [3], rows[1:2], chosen).x
    assert whole.dtype == torch.uint8 and torch.equal(alone[0, 0], whole[1, 3])

    if solver == "dpmpp2m":
        edits = edit_by_inversion(model, x, [0, 1], source=rows, config=chosen).x
        one = edit_by_inversion(model, x[2:], [1], source=rows[2:], config=chosen).x
        assert torch.equal(one[0, 0], edits[2, 1])
        ways = interpolations(model, x, 3, rows, chosen).x
        assert torch.equal(interpolations(model, x[1:], 3, rows[1:], chosen).x[0], ways[1])


def test_progress_counts_all_batches_and_the_mode_is_the_models_own():
    model = untrained(DataSpec((2,), -1.0, 1.0))
    seen = []
    report = EditConfig(
        Sampler("ddim", 4), batch=3, on_step=lambda done, total: seen.append((done, total))
    )
    model.train()
    variations(model, torch.zeros(2, 2), range(2), config=report)
    assert model.training
    steps = seen[0][1]
    assert seen == [(i, steps) for i in range(1, steps + 1)]
    seen.clear()
    edit_by_inversion(model, torch.zeros(2, 2), None, config=report)
    assert seen[-1] == (4, 4)


def test_guides_act_on_the_way_back_alone():
    model = Exact()
    plain = edit_by_inversion(model, X, [0], source=[0, 1], config=config())
    one = EditConfig(Sampler("auto", 60, "angle", guide="cfg:1.0001"))
    strong = EditConfig(Sampler("auto", 60, "angle", guide="cfg:3"))
    found = edit_by_inversion(model, X, [0], source=[0, 1], config=one)
    torch.testing.assert_close(found.x, plain.x, rtol=0, atol=0.01)
    with_guide = edit_by_inversion(model, X, [0], source=[0, 1], config=strong)
    assert (with_guide.x - plain.x).abs().max() > 0.1


def test_mean_and_deviation():
    model = Exact()
    found = variations(model, X, range(4), config=config(10))
    x = found.x.double()
    torch.testing.assert_close(found.mean, x.sum(1) / 4)
    torch.testing.assert_close(found.std, ((x - x.mean(1, keepdim=True)) ** 2).sum(1).div(3).sqrt())
    assert variations(model, X, [1], config=config(10)).std.abs().max() == 0


def test_bad_input():
    model = Exact()
    for x, said in (
        (torch.zeros(1, 3), r"shape \(1, 3\); give items of shape \(2,\)"),
        (torch.zeros(0, 2), r"shape \(0, 2\)"),
        (torch.full((1, 2), torch.nan), "NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=said):
            variations(model, x, [0])
    with pytest.raises(ValueError, match="seeds: none"):
        variations(model, X, [])
    with pytest.raises(ValueError, match="give a list, with a condition per edit"):
        edit_by_inversion(model, X, 1)
    with pytest.raises(ValueError, match="one item; give two or more"):
        interpolations(model, X[:1], 3)
    with pytest.raises(ValueError, match="count=1"):
        interpolations(model, X, 1)
    with pytest.raises(ValueError, match="no diffusion model"):
        variations(torch.nn.Linear(1, 1), X, [0])
    seen = Measurement(Mask(torch.tensor([True, False])), X, 0.5)
    with pytest.raises(ValueError, match=r"strength=0\.5: is for variations"):
        edit(model, seen, [0], config=EditConfig(strength=0.5))
    with pytest.raises(ValueError, match="unknown method 'nope'"):
        edit(model, seen, [0], config=EditConfig(method="nope"))
    with pytest.raises(ValueError, match="batch=0"):
        variations(model, X, [0], config=EditConfig(batch=0))
