"""Dequantization: the noise stays in its bin, has its moments, and bounds the likelihood."""

import math

import pytest
import torch
from scipy.stats import truncnorm

from allegory.data import DataSpec
from allegory.data.dequantize import dequantize

SPEC = DataSpec(shape=(64,), low=0.0, high=16.0, levels=17)


def uniform(raw, spec, seed=0):
    """Levels spread evenly over their bins, by noise from this seed."""
    noise = torch.randn(raw.shape, generator=torch.Generator().manual_seed(seed))
    return dequantize(raw, spec, noise).x


def test_uniform_noise_fills_the_bin_of_its_level() -> None:
    raw = torch.randint(0, 17, (2000, 64), dtype=torch.uint8)
    u = (uniform(raw, SPEC, 1) - SPEC.encode(raw)) / SPEC.step
    assert u.min() >= -0.5 and u.max() <= 0.5
    # 128,000 draws of U[-1/2, 1/2): mean 0, variance 1/12 and fourth moment 1/80, within five
    # standard errors.
    n = u.numel()
    assert abs(u.mean().item()) < 5 * math.sqrt(1 / 12 / n)
    assert abs(u.square().mean().item() - 1 / 12) < 5 * math.sqrt((1 / 80 - 1 / 144) / n)


def test_the_place_in_the_bin_is_a_function_of_the_noise() -> None:
    raw = torch.randint(0, 17, (5, 64))
    first, second = (uniform(raw, SPEC, 3) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, uniform(raw, SPEC, 4))


def test_the_bound_is_tight_for_a_histogram() -> None:
    """A density that is P(level) / step over each bin gives log P exactly: the log-volume is dims
    log(step).
    """
    probability = torch.arange(1.0, 18.0) / 153.0
    raw = torch.randint(0, 17, (100, 64))
    x = uniform(raw, SPEC)
    level = ((x + 1) / SPEC.step).round().long().clamp(0, 16)
    log_density = (probability[level] / SPEC.step).double().log().sum(1)
    expected = probability[raw].double().log().sum(1)
    assert torch.allclose(log_density + SPEC.dims * math.log(SPEC.step), expected, atol=1e-4)


def test_continuous_data_have_no_bins() -> None:
    with pytest.raises(ValueError, match="levels=None"):
        uniform(torch.zeros(1, 2), DataSpec(shape=(2,), low=-1.0, high=1.0))


@pytest.mark.parametrize("std", [0.005, 0.05, 1.0])
def test_the_truncated_normal_against_scipy(std: float) -> None:
    """The noise's own distribution function is kept: F(x) = Phi(noise); and log q is the density's
    logarithm.
    """
    raw, noise = torch.randint(0, 17, (30, 64)), torch.randn(30, 64, dtype=torch.float64)
    found = dequantize(raw, SPEC, noise, std)
    offset = found.x - SPEC.encode(raw)
    bound = SPEC.step / 2 / std
    exact = truncnorm(-bound, bound, scale=std)
    assert torch.allclose(
        torch.from_numpy(exact.cdf(offset.numpy())), torch.special.ndtr(noise), atol=1e-9
    )
    assert torch.allclose(
        torch.from_numpy(exact.logpdf(offset.numpy()).sum(1)), found.log_q, rtol=1e-9
    )
    assert offset.abs().max() <= SPEC.step / 2


def test_a_wide_normal_is_uniform() -> None:
    raw, noise = torch.randint(0, 17, (3, 64)), torch.randn(3, 64, dtype=torch.float64)
    even, wide = dequantize(raw, SPEC, noise), dequantize(raw, SPEC, noise, 1e4)
    assert torch.allclose(even.x, wide.x, atol=1e-9)
    assert torch.allclose(even.log_q, wide.log_q, atol=1e-6)
    assert torch.allclose(even.log_q, torch.tensor(-64 * math.log(SPEC.step), dtype=torch.float64))


def test_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match="std=0"):
        dequantize(torch.randint(0, 17, (5, 64)), SPEC, torch.randn(5, 64), 0.0)
