"""Sampling from a level between data and noise: where it is, what is drawn there, the way back."""

import math

import pytest
import torch
from tests.helpers.gaussian import MEAN, STD, gaussian, on_flow, spread
from tests.helpers.paths import ENDLESS, ONE_PER_SCALING, PATHS

from allegory.process import Cosine, Mixture, Path
from allegory.sampling import PartialSampler, Sampler, strength_level


@pytest.mark.parametrize("name", PATHS)
def test_the_strength_is_the_angle_of_the_level(name):
    path = PATHS[name]
    start, end = path.schedule.ends
    for strength in (0.0, 0.1, 0.5, 0.8, 1.0):
        level = strength_level(path, strength)
        angle = 2 / math.pi * math.atan2(level.sigma, level.alpha)
        ends = [2 / math.pi * math.atan(math.exp(min(-snr / 2, 700))) for snr in (start, end)]
        assert angle == pytest.approx(min(max(strength, ends[0]), ends[1]), abs=1e-6)


def test_the_strength_is_the_time_of_the_cosine_schedule():
    path = Path(Cosine(math.inf, -math.inf), "vp")
    assert strength_level(path, 0.3).t == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("name", (*ONE_PER_SCALING, *ENDLESS))
def test_the_steps_are_those_of_the_grid_below(name):
    path = PATHS[name]
    sampler = Sampler("heun", 20)
    whole, part = sampler.grid(path), PartialSampler(sampler, 0.4).grid(path)
    first = strength_level(path, 0.4).log_snr
    assert part.levels[0].log_snr == pytest.approx(first)
    assert [level.t for level in part.levels[1:]] == [
        level.t for level in whole.levels if level.log_snr > first
    ]
    assert [level.t for level in PartialSampler(sampler, 1.0).grid(path).levels] == [
        level.t for level in whole.levels
    ]


@pytest.mark.parametrize("name", ONE_PER_SCALING)
def test_sdedit_of_a_gaussian(name):
    """x_t = alpha x + sigma eps is z standard deviations of q_t from its mean; the flow keeps z."""
    path = PATHS[name]
    partial = PartialSampler(Sampler("auto", 400, "log_snr", "min"), 0.5)
    x0 = torch.tensor([[0.2, 1.0], [-3.0, 2.0]], dtype=torch.float64)
    predict = gaussian(path)
    x_t = partial.noised(predict, x0, [5, 6])

    first, last = strength_level(path, 0.5), path.levels([0.0])[0]
    z = (x_t - first.alpha * MEAN) / spread(first)
    found = partial.sample(predict, x_t)
    torch.testing.assert_close(found, on_flow(last, z), rtol=0, atol=2e-5)

    alone = partial.noised(predict, x0[1:], [6])
    assert torch.equal(alone, x_t[1:])


def test_the_draw_has_the_moments_of_the_level():
    """Mean alpha x0 and standard deviation sigma, over 4000 seeds: 5 standard errors."""
    path = PATHS["linear-vp"]
    partial = PartialSampler(Sampler(), 0.3)
    level = strength_level(path, 0.3)
    x0 = torch.full((4000, 1), 2.0, dtype=torch.float64)
    x_t = partial.noised(gaussian(path), x0, range(4000))
    assert x_t.mean().item() == pytest.approx(2 * level.alpha, abs=5 * level.sigma / 4000**0.5)
    assert x_t.std().item() == pytest.approx(level.sigma, rel=5 / 8000**0.5)


@pytest.mark.parametrize("strength", (0.4, 1.0))
def test_inversion_and_back(strength):
    path = PATHS["linear-vp"]
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=torch.float64)
    oracle = Mixture(means, torch.tensor([0.3, 0.3]).double(), path=path)
    partial = PartialSampler(Sampler("auto", 100, "angle"), strength)
    x0 = torch.tensor([[1.1, 0.4], [-0.7, -0.5]], dtype=torch.float64)
    x_t = partial.inverted(oracle, x0)
    assert (x_t - x0).abs().max() > 0.05
    torch.testing.assert_close(partial.returned(oracle, x_t), x0, rtol=0, atol=1e-4)


def test_inversion_of_a_gaussian_is_z_standard_deviations():
    path = PATHS["linear-vp"]
    partial = PartialSampler(Sampler("auto", 200, "log_snr"), 0.6)
    x0 = torch.tensor([[0.2, 1.0]], dtype=torch.float64)
    first, last = strength_level(path, 0.6), path.levels([0.0])[0]
    z = (last.alpha * x0 - last.alpha * MEAN) / spread(last)
    found = partial.inverted(gaussian(path), x0)
    torch.testing.assert_close(found, on_flow(first, z), rtol=0, atol=2e-5)
    assert STD == 0.5


def test_bad_input():
    for strength in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match=r"strength=.*from 0"):
            PartialSampler(Sampler(), strength)
        with pytest.raises(ValueError, match=r"strength=.*from 0"):
            strength_level(PATHS["linear-vp"], strength)
    with pytest.raises(ValueError, match="cannot be inverted"):
        x0 = torch.zeros(1, 2, dtype=torch.float64)
        PartialSampler(Sampler("ddpm", 10), 0.5).inverted(gaussian(PATHS["linear-vp"]), x0)
    with pytest.raises(ValueError, match="no step is left; give a larger one"):
        PartialSampler(Sampler("ddim", 10, end="min"), 0.0).grid(PATHS["linear-vp"])
