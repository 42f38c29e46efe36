"""Distances against closed forms."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from allegory.evaluation import frechet, sliced_wasserstein


def whitened(n, mean, root):
    """n points whose sample mean and covariance are exactly `mean` and root^T root."""
    x = torch.randn(n, len(mean), dtype=torch.float64)
    x = torch.linalg.qr(x - x.mean(0)).Q * math.sqrt(n - 1)
    return x @ root + mean


def test_frechet_of_gaussians_with_known_moments():
    """Diagonal covariances commute: |gap|^2 + sum (s_i - t_i)^2."""
    s, t = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([3.0, 0.1, 0.5]).double()
    gap = torch.tensor([1.0, -2.0, 0.5]).double()
    a, b = whitened(50, torch.zeros(3).double(), s.diag()), whitened(31, gap, t.diag())
    expected = gap.square().sum() + (s - t).square().sum()
    assert frechet(a, b) == pytest.approx(expected.item(), rel=1e-10)


def test_frechet_against_the_matrix_root():
    a, b = torch.randn(40, 4).double() @ torch.randn(4, 4).double(), torch.randn(30, 4).double() + 1
    cov_a, cov_b = np.cov(a.T.numpy()), np.cov(b.T.numpy())
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = (a.mean(0) - b.mean(0)).square().sum().item() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-8)


def test_frechet_with_fewer_items_than_dimensions():
    """Points on two orthogonal lines share no direction, so the spreads add up."""
    a, b = torch.zeros(3, 20), torch.zeros(5, 20)
    a[:, 0], b[:, 7] = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert frechet(a, b) == pytest.approx(1.0 + 2.5, rel=1e-10)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-12)


def test_frechet_takes_items_of_any_shape_and_is_symmetric():
    a, b = torch.randn(9, 2, 3), torch.randn(7, 2, 3)
    assert frechet(a, b) == pytest.approx(frechet(b.flatten(1), a.flatten(1)), rel=1e-10)


def test_sliced_wasserstein_on_a_line_is_the_shift():
    a = torch.randn(30, 1)
    assert sliced_wasserstein(a, a + 0.7, seed=0, projections=3) == pytest.approx(0.7, rel=1e-6)


def test_sliced_wasserstein_of_shifted_clouds():
    """E (u . s)^2 = |s|^2 / d, with variance 2 |s|^4 (d - 1) / (d^2 (d + 2)) of one projection."""
    d, shift, lines = 5, torch.tensor([1.0, 0.0, -2.0, 0.0, 2.0]), 4000
    a = torch.randn(40, d)
    got = sliced_wasserstein(a, a + shift, seed=1, projections=lines) ** 2
    error = 9 * math.sqrt(2 * (d - 1) / (d**2 * (d + 2)) / lines)
    assert abs(got - 9 / d) < 4 * error
    assert error < 0.03 * 9 / d


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5), (6, 4), (1, 7)])
def test_sliced_wasserstein_of_sets_of_different_sizes(n, m, order):
    """On a line: every item of one set repeated as often as the other has items."""
    a, b = torch.randn(n, 1).double(), 2 * torch.randn(m, 1).double()
    many_a, many_b = (
        a.repeat_interleave(m, 0).sort(0).values,
        b.repeat_interleave(n, 0).sort(0).values,
    )
    expected = (many_a - many_b).abs().pow(order).mean().pow(1 / order).item()
    got = sliced_wasserstein(a, b, seed=0, projections=2, order=order)
    assert got == pytest.approx(expected, rel=1e-9)


def test_distances_refuse_what_they_cannot_measure():
    with pytest.raises(ValueError, match="give at least 2 in each"):
        frechet(torch.zeros(1, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="one shape"):
        frechet(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="give at least 1 in each"):
        sliced_wasserstein(torch.zeros(0, 2), torch.zeros(5, 2), seed=0)
    with pytest.raises(ValueError, match="projections=0"):
        sliced_wasserstein(torch.zeros(3, 2), torch.zeros(5, 2), seed=0, projections=0)
    with pytest.raises(ValueError, match="order=0"):
        sliced_wasserstein(torch.zeros(3, 2), torch.zeros(5, 2), seed=0, order=0)
