"""The Gaussian of a point is the data's own, where they are Gaussian."""

import torch

from allegory.numerics.local_gaussian import Angle, LocalGaussian, Point


def gaussian_point(centre, std, u, y):
    """eps and c of N(centre, std^2 I), written out."""
    r2 = (std**2 + u**2)[:, None]
    return Point(u, y, u[:, None] * (y - centre) / r2, (u**2 / (std**2 + u**2))[:, None])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_a_gaussian_is_recognised_anywhere_and_leaves_no_rest():
    centre, std, u = (
        torch.randn(3, 2, dtype=torch.float64),
        double(0.1, 0.5, 2.0),
        double(0.01, 0.5, 30.0),
    )
    point = gaussian_point(centre, std, u, torch.randn(3, 2, dtype=torch.float64))
    tangent = LocalGaussian.at(point, Angle(1.0))
    torch.testing.assert_close(tangent.centre, centre, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(tangent.variance, std.square(), rtol=1e-9, atol=0)
    later = gaussian_point(centre, std, 2 * u, torch.randn(3, 2, dtype=torch.float64))
    for rest in tangent.rest(later):
        torch.testing.assert_close(rest, torch.zeros_like(rest), atol=1e-9, rtol=0)
    torch.testing.assert_close(tangent.lift(tangent.flatten(later.y, later.u), later.u), later.y)


def test_the_rest_is_the_derivative_of_the_flat_coordinates():
    """dz/dw by a central difference along dy/du = eps, for a field that is no Gaussian's; error of order h^2."""

    def field(u, y):
        return Point(u, y, torch.sin(y) * u[:, None], double(0.3)[:, None])

    angle, y, h = Angle(0.7), torch.randn(1, 2, dtype=torch.float64), 1e-5
    tangent = LocalGaussian.at(field(double(0.4), y + 0.1), angle)
    here = field(double(0.6), y)
    w, slope = angle.of(here.u), angle.slope(here.u)
    ends = [tangent.flatten(y + s * h * slope * here.eps, angle.back(w + s * h)) for s in (-1, 1)]
    torch.testing.assert_close(
        tangent.rest(here)[0], (ends[1] - ends[0]) / (2 * h), rtol=1e-7, atol=1e-7
    )
    excess = (0.3 / here.u - here.u / (tangent.variance + here.u**2)) * slope
    torch.testing.assert_close(tangent.rest(here)[1], excess[:, None])


def test_several_modes_take_the_widest():
    point = Point(
        double(0.5), torch.zeros(1, 2).double(), torch.ones(1, 2).double(), double(-0.2)[:, None]
    )
    assert LocalGaussian.at(point, Angle(1.0)).variance.item() == 9.0
