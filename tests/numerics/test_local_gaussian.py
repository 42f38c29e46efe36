"""The Gaussian of a point is the data's own, where they are Gaussian."""

import pytest
import torch

from allegory.numerics.local_gaussian import Angle, LocalGaussian, Point


def gaussian_point(centre, std, u, y):
    """eps and c of N(centre, std^2 I), written out."""
    r2 = (std**2 + u**2)[:, None]
    return Point(u, y, u[:, None] * (y - centre) / r2, (u**2 / (std**2 + u**2))[:, None])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_a_gaussian_is_recognised_anywhere_and_leaves_no_residual():
    centre, std, u = (
        torch.randn(3, 2, dtype=torch.float64),
        double(0.1, 0.5, 2.0),
        double(0.01, 0.5, 30.0),
    )
    point = gaussian_point(centre, std, u, torch.randn(3, 2, dtype=torch.float64))
    gaussian = LocalGaussian.fit(point, Angle(1.0))
    torch.testing.assert_close(gaussian.mean, centre, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gaussian.variance, std.square(), rtol=1e-9, atol=0)
    later = gaussian_point(centre, std, 2 * u, torch.randn(3, 2, dtype=torch.float64))
    for residual in gaussian.residual(later):
        torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        gaussian.to_state(gaussian.to_normalised(later.y, later.u), later.u), later.y
    )


def test_the_residual_is_the_derivative_of_the_normalised_coordinates():
    """dz/dw by a central difference along dy/du = eps, for a field that is no Gaussian's; error of
    order h^2.
    """

    def field(u, y):
        return Point(u, y, torch.sin(y) * u[:, None], double(0.3)[:, None])

    angle, y, h = Angle(0.7), torch.randn(1, 2, dtype=torch.float64), 1e-5
    gaussian = LocalGaussian.fit(field(double(0.4), y + 0.1), angle)
    here = field(double(0.6), y)
    w, slope = angle.forward(here.u), angle.slope(here.u)
    ends = [
        gaussian.to_normalised(y + s * h * slope * here.eps, angle.inverse(w + s * h))
        for s in (-1, 1)
    ]
    torch.testing.assert_close(
        gaussian.residual(here)[0], (ends[1] - ends[0]) / (2 * h), rtol=1e-7, atol=1e-7
    )
    excess = (0.3 / here.u - here.u / (gaussian.variance + here.u**2)) * slope
    torch.testing.assert_close(gaussian.residual(here)[1], excess[:, None])


def test_several_modes_take_the_largest_variance():
    point = Point(
        double(0.5), torch.zeros(1, 2).double(), torch.ones(1, 2).double(), double(-0.2)[:, None]
    )
    assert LocalGaussian.fit(point, Angle(1.0)).variance.item() == 9.0


@pytest.mark.parametrize("sign", [1, -1])
def test_the_angle_its_inverse_and_its_slope(sign):
    """w = +-atan(u/S); du/dw by a central difference."""
    angle, u, h = Angle(0.7, sign), double(0.01, 0.7, 30.0), 1e-6
    w = angle.forward(u)
    torch.testing.assert_close(sign * w, torch.atan(u / 0.7))
    torch.testing.assert_close(angle.inverse(w), u, rtol=1e-12, atol=0)
    numeric = (angle.inverse(w + h) - angle.inverse(w - h)) / (2 * h)
    torch.testing.assert_close(angle.slope(u), numeric, rtol=1e-7, atol=1e-9)
