"""Weights of particles: what they are at any size, and who is resampled."""

import math

import pytest
import torch

from allegory.inverse.resampling import (
    effective_size,
    log_mean,
    normalised,
    relative_variance,
    systematic,
)


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1000.0])
def test_of_two_particles_100_nats_apart_only_one_is_resampled(offset):
    """Weights that are clamped, or shifted by the smallest, would keep both."""
    log_weights = torch.tensor([[offset, offset - 100], [offset - 100, offset]]).double()
    for uniform in (1e-9, 0.5, 1 - 2**-53):
        ancestors = systematic(log_weights, torch.full((2,), uniform).double(), count=100)
        assert ancestors.tolist() == [[0] * 100, [1] * 100]

    smaller = normalised(log_weights)[0, 1]
    assert float(smaller) == pytest.approx(-100, abs=1e-9)
    assert effective_size(log_weights).tolist() == pytest.approx([1, 1], abs=1e-12)
    mean = offset - math.log(2)
    assert log_mean(log_weights).tolist() == pytest.approx([mean, mean], abs=1e-9)


def test_each_particle_has_its_expected_number_of_descendants_rounded_up_or_down():
    generator = torch.Generator().manual_seed(0)
    log_weights = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    expected = 50 * log_weights.softmax(1)
    total = torch.zeros_like(expected)
    offsets = [(i + 0.5) / 400 for i in range(400)]
    for uniform in offsets:
        ancestors = systematic(log_weights, torch.full((4,), uniform, dtype=torch.float64))
        counts = torch.stack([row.bincount(minlength=50) for row in ancestors])
        assert ((counts - expected).abs() < 1).all()
        total += counts

    torch.testing.assert_close(total / len(offsets), expected, rtol=0, atol=2 / 400)


def test_a_particle_of_weight_zero_has_no_descendant():
    log_weights = torch.tensor([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]]).double()
    for uniform in (0.0, 0.3, 1 - 2**-53):
        ancestors = systematic(log_weights, torch.tensor([uniform]).double(), count=9)
        assert set(ancestors.flatten().tolist()) == {1, 3}


def test_the_variance_of_the_mean_of_independent_weights():
    """Without resampling it is that of a mean of K weights, over its square."""
    generator = torch.Generator().manual_seed(1)
    log_weights = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    weights = log_weights.exp()
    expected = weights.var(1) / 40 / weights.mean(1).square()
    found = relative_variance(log_weights, torch.arange(40).repeat(3, 1))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)

    one_family = relative_variance(log_weights, torch.zeros(3, 40, dtype=torch.int64))
    torch.testing.assert_close(one_family, torch.ones(3).double())
