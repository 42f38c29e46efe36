"""Monotone transforms of columns: slopes by autograd, inverses, tails, and density."""

import math

import pytest
import torch

from allegory.numerics.column_transforms import ColumnTransforms, fit_transforms


def float64(rows):
    return torch.tensor(rows, dtype=torch.float64)


def three_columns():
    """Three components, two of very unequal widths, and one."""
    return ColumnTransforms(
        float64([[0.2, 0.5, 0.3], [0.7, 0.3, 0.0], [1.0, 0.0, 0.0]]),
        float64([[-2.0, 0.5, 4.0], [0.0, 1.0, 0.0], [3.0, 0.0, 0.0]]),
        float64([[0.5, 1.0, 0.1], [1.0, 1e-3, 1.0], [2.0, 1.0, 1.0]]),
    )


def log_normal(z):
    return -0.5 * (z.square() + math.log(2 * math.pi))


@pytest.mark.parametrize("make", [three_columns, lambda: affine(3)])
def test_the_slope_is_the_derivative(make):
    x = (4 * torch.randn(50, 3, dtype=torch.float64)).requires_grad_()
    z, slope = make()(x)
    (grad,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope, grad.log(), rtol=1e-8, atol=1e-8)


def affine(columns):
    one = torch.ones(columns, 1, dtype=torch.float64)
    return ColumnTransforms(one, 1.5 * one, 0.2 * one)


def test_z_is_the_normal_quantile_of_the_distribution_function():
    transforms = three_columns()
    x = torch.linspace(-4, 5, 37, dtype=torch.float64)[:, None].expand(-1, 3)
    normal = torch.distributions.Normal(transforms.means, transforms.stds)
    p = (transforms.weights * normal.cdf(x[..., None])).sum(-1)
    inside = (p > 1e-6) & (p < 1 - 1e-6)
    z = transforms(x)[0]
    torch.testing.assert_close(z[inside], torch.special.ndtri(p[inside]), rtol=1e-8, atol=1e-8)


def test_one_component_is_an_affine_map():
    x = torch.linspace(-50, 50, 11, dtype=torch.float64)[:, None]
    z, slope = affine(1)(x)
    torch.testing.assert_close(z, (x - 1.5) / 0.2)
    torch.testing.assert_close(slope, torch.full_like(x, math.log(5)))
    torch.testing.assert_close(affine(1).inverse(z), x)


def test_one_component_among_others_is_the_same_affine_map():
    """In the third column, also in the far tails."""
    x = torch.linspace(-60, 60, 13, dtype=torch.float64)[:, None].expand(-1, 3)
    z, slope = three_columns()(x)
    torch.testing.assert_close(z[:, 2], (x[:, 2] - 3) / 2, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(slope[:, 2], torch.full((13,), -math.log(2)).double())


@pytest.mark.parametrize("reach", [1.0, 3.0, 6.0, 10.0, 35.0])
def test_the_inverse_leads_back(reach):
    z = torch.linspace(-reach, reach, 41, dtype=torch.float64)[:, None].expand(-1, 3)
    transforms = three_columns()
    x = transforms.inverse(z)
    again = transforms(x)[0]
    slope = transforms(x)[1].exp()
    rounding = 4e-16 * x.abs() * slope  # that of x itself, as z
    assert bool(((again - z).abs() <= 1e-10 * (1 + z.abs()) + rounding).all())


def test_a_row_has_the_same_inverse_alone_and_in_any_batch():
    transforms = three_columns()
    z = torch.randn(20, 3, dtype=torch.float64)
    z[3] = 30.0
    together = transforms.inverse(z)
    alone = torch.cat([transforms.inverse(row[None]) for row in z])
    assert torch.equal(together, alone)


def test_far_tails_are_monotone_and_finite():
    x = torch.linspace(-200, 200, 2001, dtype=torch.float64)[:, None].expand(-1, 3)
    z, slope = three_columns()(x)
    assert bool(z.isfinite().all())
    assert bool(slope.isfinite().all())
    assert bool((z.diff(dim=0) > 0).all())


def test_the_density_integrates_to_one():
    transforms = three_columns()
    for column, (low, high) in enumerate([(-8.0, 9.0), (0.9, 1.1), (-25.0, 25.0)]):
        x = torch.linspace(low, high, 40001, dtype=torch.float64)[:, None].expand(-1, 3)
        z, slope = transforms(x)
        total = torch.trapezoid((log_normal(z) + slope)[:, column].exp(), x[:, column])
        phi = torch.special.ndtr(z[[0, -1], column])
        assert float(total) == pytest.approx(float(phi[1] - phi[0]), rel=1e-6)


def test_fitted_to_a_mixture_columns_become_normal():
    """z of fresh rows has the mean and variance of a normal, within five standard errors."""
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        z = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        side = torch.rand(count, generator=generator) < 0.3
        return torch.stack([torch.where(side, 0.3 * z[:, 0] - 3, z[:, 0] + 2), 3 * z[:, 1]], 1)

    transforms = fit_transforms(draw(4000), draw(2000), (1, 2, 4))
    z = transforms(draw(4000))[0]
    error = math.sqrt(2 / 4000)  # of a fit and of a mean
    assert z.mean(0).abs().max() < 5 * error
    assert (z.var(0) - 1).abs().max() < 5 * math.sqrt(2) * error
    assert float((transforms.weights[1] > 0).sum()) <= 2


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_column_with_few_or_equal_numbers_has_a_transform(count):
    column = torch.full((5, 2), math.nan).double()
    column[:count, 0] = 7.0
    column[:, 1] = torch.arange(5)
    transforms = fit_transforms(column, column, (1, 2, 4))
    z, slope = transforms(torch.full((1, 2), 7.0).double())
    assert bool(z.isfinite().all())
    assert bool(slope.isfinite().all())


def test_without_columns_nothing_is_done():
    transforms = fit_transforms(torch.zeros(4, 0).double(), torch.zeros(2, 0).double(), (1, 2))
    z, slope = transforms(torch.zeros(3, 0).double())
    assert z.shape == slope.shape == transforms.inverse(z).shape == (3, 0)
