"""The kernel Stein discrepancy: zero mean by quadrature, exact values, size and power."""

import math

import pytest
import torch

from allegory.evaluation.calibration import stein_kernel, stein_test
from allegory.evaluation.calibration.stein import median_length

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def gauss(count):
    """Nodes and weights of expectations under N(0, 1) (Golub & Welsch)."""
    off = torch.arange(1, count, dtype=F64).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, vectors[0] ** 2


@pytest.mark.parametrize("std", [1.0, 0.5, 1.4])
@pytest.mark.parametrize("length", [1.0, 2.5])
def test_its_mean_is_zero_under_the_exact_density_and_positive_else(std, length):
    """E h(x, x') over N(0, std^2) with the score of N(0, 1), by quadrature in one dimension."""
    nodes, weights = gauss(120)
    x = (std * nodes)[None, :, None]
    h = stein_kernel(x, -x, length)[0]
    mean = float(weights @ h @ weights)
    if std == 1:
        assert abs(mean) < 1e-7
        assert (h @ weights).abs()[20:100].max() < 1e-5  # in either argument
    else:
        assert mean > 0.003


def test_the_kernel_against_automatic_differentiation():
    """s.s' k + s.grad' k + s'.grad k + tr grad grad' k, term by term."""
    x, score, length = normal(1, 2, 3), normal(1, 2, 3, seed=1), 1.7

    def k(a, b):
        return (1 + (a - b).square().sum() / length**2) ** -0.5

    a, b = (x[0, i].clone().requires_grad_() for i in range(2))
    s, t = score[0]
    grad_a, grad_b = torch.autograd.grad(k(a, b), (a, b), create_graph=True)
    trace = sum(torch.autograd.grad(grad_a[i], b, retain_graph=True)[0][i] for i in range(3))
    expected = (s @ t * k(a, b) + s @ grad_b + t @ grad_a + trace).item()
    found = stein_kernel(x, score, length)[0]
    assert float(found[0, 1]) == pytest.approx(expected, rel=1e-12)
    assert float(found[1, 0]) == pytest.approx(expected, rel=1e-12)
    assert float(found[0, 0]) == pytest.approx(float(s @ s + 3 / length**2), rel=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 0.8, 1.3])
def test_the_scale_is_one_less_the_ratio_of_variances(ratio):
    """Of N(m, ratio^2 C) under the score of N(m, C): 1 - ratio^2, in any dimension."""
    mean, std = 5.0, torch.tensor([0.1, 1.0, 30.0], dtype=F64)
    x = mean + ratio * std * normal(4000, 4, 3)
    found = stein_test(x, -(x - mean) / std**2, resamples=9).scale
    assert abs(found.mean - (1 - ratio**2)) < 4 * found.error
    assert found.error < 0.02


def test_the_scale_in_closed_form_of_two_draws():
    """1 + (s - s').(x - x') / 2d."""
    x, score = normal(5, 2, 3), normal(5, 2, 3, seed=1)
    gap = ((score[:, 0] - score[:, 1]) * (x[:, 0] - x[:, 1])).sum(1)
    found = stein_test(x, score, resamples=9).scale
    assert found.mean == pytest.approx(float((1 + gap / 6).mean()), rel=1e-12)


def test_exact_draws_have_a_uniform_p_value():
    """Items with posteriors of their own: means and widths differ."""
    below = []
    for seed in range(200):
        mean, std = normal(40, 1, 2, seed=seed), 0.5 + normal(40, 1, 2, seed=seed + 500).abs()
        x = mean + std * normal(40, 6, 2, seed=seed + 1000)
        below.append(stein_test(x, -(x - mean) / std**2, seed=seed, resamples=199).p)
    for level in (0.05, 0.2):
        share = sum(p <= level for p in below) / 200
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 200)


def test_a_wrong_posterior_is_rejected():
    x = normal(200, 10, 3)
    assert stein_test(x, -x).p > 0.01
    assert stein_test(0.6 * x, -0.6 * x).p < 0.001
    assert stein_test(x + 0.2, -(x + 0.2)).p < 0.001
    assert stein_test(x, -x).scale_p > 0.01
    assert stein_test(0.9 * x, -0.9 * x).scale_p < 1e-6


def test_the_discrepancy_is_the_mean_over_pairs_of_different_draws():
    x, score = normal(3, 4, 2), normal(3, 4, 2, seed=1)
    h = stein_kernel(x, score, 2.0)
    pairs = [h[:, i, j] for i in range(4) for j in range(4) if i != j]
    found = stein_test(x, score, length=2.0, resamples=9)
    assert found.discrepancy == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-12)
    assert found.length == 2.0


def test_the_length_is_the_median_distance():
    x = torch.tensor([[[0.0], [1.0], [5.0]]], dtype=F64)
    assert median_length(x) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="all the same"):
        median_length(torch.ones(2, 3, 1, dtype=F64))


def test_what_has_no_discrepancy_is_refused():
    x = normal(5, 4, 2)
    with pytest.raises(ValueError, match="score: shape"):
        stein_kernel(x, x[:, :3], 1.0)
    with pytest.raises(ValueError, match="length=0"):
        stein_kernel(x, x, 0.0)
    with pytest.raises(ValueError, match="at least two of both"):
        stein_test(x[:, :1], x[:, :1])
    with pytest.raises(ValueError, match="NaN"):
        stein_kernel(x, x * math.nan, 1.0)
