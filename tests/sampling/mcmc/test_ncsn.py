"""NCSNv2's choices against what its authors report, and against Langevin's own variance."""

import math

import pytest
import torch

from allegory.sampling import (
    EnergyDensity,
    Langevin,
    largest_distance,
    level_count,
    level_ratio,
    step_size,
)
from allegory.sampling.mcmc.ncsn import overlap, variance_after


def test_the_published_steps_follow_from_the_published_levels():
    """epsilon/sigma_L^2 of Song & Ermon 2020, table 4, with sigma_L = 0.01 and T = 5: to the two
    digits that they give.
    """
    assert step_size(5, (50 / 0.01) ** (1 / 231)) * 0.01**2 == pytest.approx(
        6.2e-6, abs=0.05e-6
    )  # CIFAR-10
    assert step_size(5, (90 / 0.01) ** (1 / 499)) * 0.01**2 == pytest.approx(
        3.3e-6, abs=0.05e-6
    )  # CelebA, LSUN 64x64


def test_the_published_levels_overlap_by_about_a_half():
    """232 levels for CIFAR-10 and 500 for 64x64: within a tenth of what half an overlap asks
    for.
    """
    assert level_count(0.01, 50, 3072) == pytest.approx(232, rel=0.1)
    assert level_count(0.01, 90, 3 * 64 * 64) == pytest.approx(500, rel=0.1)
    count = level_count(0.01, 50, 3072)  # the fewest whose neighbours overlap by half
    assert (
        overlap(5000 ** (1 / (count - 1)), 3072) >= 0.5 > overlap(5000 ** (1 / (count - 2)), 3072)
    )
    assert overlap(level_ratio(3072), 3072) == pytest.approx(0.5, abs=1e-9)
    assert level_ratio(10) > level_ratio(1000) > 1
    assert overlap(level_ratio(5), 5) == pytest.approx(0.5, abs=1e-6)


def test_the_overlap_is_that_of_norms():
    """The share of |N(0, (gamma sigma)^2 I)| within three deviations of the norm of N(0, sigma^2
    I), by sampling.
    """
    dims, n = 400, 20_000
    gamma = level_ratio(dims)
    norms = gamma * torch.randn(n, dims).norm(dim=1)
    inside = ((norms - math.sqrt(dims)).abs() < 3 * gamma / math.sqrt(2)).float().mean().item()
    assert inside == pytest.approx(0.5, abs=0.03)


def test_the_variance_is_langevins():
    """From N(0, gamma^2), `count` steps on the score -x: within 4 standard errors of a sample
    variance.
    """
    n, gamma, step, count = 100_000, 1.3, 0.2, 3
    x = gamma * torch.randn(n, 1, dtype=torch.float64)
    x = Langevin(step, count)(EnergyDensity(lambda y: y.square().sum(1) / 2), x, torch.randn_like).x
    expected = variance_after(torch.tensor(step, dtype=torch.float64), count, gamma).item()
    assert x.var().item() == pytest.approx(expected, abs=4 * expected * math.sqrt(2 / n))
    best = step_size(count, gamma)
    near = [
        abs(variance_after(torch.tensor(best * f).double(), count, gamma).item() - 1)
        for f in (0.9, 1.0, 1.1)
    ]
    assert near[1] == min(near)


def test_the_largest_distance():
    x = torch.randn(2500, 3)
    assert largest_distance(x) == pytest.approx(torch.cdist(x, x).max().item(), rel=1e-6)
    pictures = torch.stack([torch.full((1, 2, 2), -1.0), torch.full((1, 2, 2), 1.0)])
    assert largest_distance(pictures) == pytest.approx(4.0)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        largest_distance(torch.zeros(1, 2))
    for dims in (0, 2, 4):
        with pytest.raises(ValueError, match="choose their number yourself"):
            level_ratio(dims)
    with pytest.raises(ValueError, match="sigma_min"):
        level_count(1.0, 0.5, 10)
    with pytest.raises(ValueError, match="ratio of levels above 1"):
        step_size(5, 1.0)
