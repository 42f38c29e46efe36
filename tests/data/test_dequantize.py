"""Dequantization: the noise stays in its bin, has its moments, and bounds the likelihood as stated."""

import math

import pytest
import torch

from allegory.data import Data
from allegory.data.dequantize import none, uniform

SPEC = Data(shape=(64,), low=0.0, high=16.0, levels=17)


def test_uniform_noise_fills_the_bin_of_its_level() -> None:
    raw = torch.randint(0, 17, (2000, 64), dtype=torch.uint8)
    u = (uniform(raw, SPEC, torch.Generator().manual_seed(1)) - SPEC.encode(raw)) / SPEC.step
    assert u.min() >= -0.5 and u.max() <= 0.5
    # 128,000 draws of U[-1/2, 1/2): mean 0, variance 1/12 and fourth moment 1/80, within five standard errors.
    n = u.numel()
    assert abs(u.mean().item()) < 5 * math.sqrt(1 / 12 / n)
    assert abs(u.square().mean().item() - 1 / 12) < 5 * math.sqrt((1 / 80 - 1 / 144) / n)


def test_the_noise_is_a_function_of_the_generator() -> None:
    raw = torch.randint(0, 17, (5, 64))
    first, second = (uniform(raw, SPEC, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, uniform(raw, SPEC, torch.Generator().manual_seed(4)))


def test_none_is_encode() -> None:
    raw = torch.randint(0, 17, (5, 64))
    assert torch.equal(none(raw, SPEC), SPEC.encode(raw))


def test_the_bound_is_tight_for_a_histogram() -> None:
    """A density that is P(level) / step over each bin gives log P exactly: the log-volume is dims log(step)."""
    probability = torch.arange(1.0, 18.0) / 153.0
    raw = torch.randint(0, 17, (100, 64))
    x = uniform(raw, SPEC, torch.Generator().manual_seed(0))
    level = ((x + 1) / SPEC.step).round().long().clamp(0, 16)
    log_density = (probability[level] / SPEC.step).double().log().sum(1)
    expected = probability[raw].double().log().sum(1)
    assert torch.allclose(log_density + SPEC.dims * math.log(SPEC.step), expected, atol=1e-4)


def test_continuous_data_have_no_bins() -> None:
    with pytest.raises(ValueError, match="levels=None"):
        uniform(torch.zeros(1, 2), Data(shape=(2,), low=-1.0, high=1.0))
