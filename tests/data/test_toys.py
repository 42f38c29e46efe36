"""Toys: each against the density it says it has."""

import math

import pytest
import torch

from allegory.data import Dataset, load
from allegory.data.toys import TOYS


def points(name: str) -> torch.Tensor:
    return load(name, seed=1).train.x


@pytest.mark.parametrize("name", TOYS)
def test_sizes_and_range(name: str) -> None:
    toy = load(name)
    assert (len(toy.train), len(toy.validation), len(toy.test)) == (20_000, 2_000, 2_000)
    assert toy.spec.shape == (2,) and toy.spec.levels is None and toy.train.labels is None
    assert (toy.spec.low, toy.spec.high) == (-4.0, 4.0)


@pytest.mark.parametrize("name", TOYS)
def test_the_seed_decides(name: str) -> None:
    def draw(seed: int) -> Dataset:
        return load(name, seed)

    assert torch.equal(draw(3).test.x, draw(3).test.x)
    assert not torch.equal(draw(3).test.x, draw(4).test.x)
    first = draw(3)
    assert not torch.isin(first.train.x[:, 0], first.test.x[:, 0]).all()


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed=-1"):
        load("moons", seed=-1)


def test_checkerboard_is_uniform_on_its_squares() -> None:
    cell = ((points("checkerboard") + 4.0) / 2.0).floor().long()
    assert ((cell[:, 0] + cell[:, 1]) % 2 == 0).all()
    count = torch.bincount(4 * cell[:, 0] + cell[:, 1], minlength=16)
    # Eight squares of probability 1/8: a binomial count of 20,000 within five standard deviations.
    assert ((count[count > 0] - 2500).abs() < 5 * math.sqrt(20_000 / 8 * 7 / 8)).all()
    assert (count > 0).sum() == 8


def test_eight_gaussians_have_their_moments() -> None:
    """Mean 0 and covariance (radius^2 / 2 + std^2) I, and residuals of variance std^2 at equally
    likely centres.
    """
    x = points("eight_gaussians").double()
    variance = 2.5**2 / 2 + 0.15**2
    assert x.mean(0).abs().max() < 5 * math.sqrt(variance / 20_000)
    assert (x.T @ x / 20_000 - variance * torch.eye(2)).abs().max() < 5 * 2.5**2 / math.sqrt(
        8 * 20_000
    )
    angle = math.tau / 8 * torch.arange(8, dtype=torch.float64)
    distance, nearest = torch.cdist(x, 2.5 * torch.stack([angle.cos(), angle.sin()], 1)).min(1)
    assert abs(distance.square().mean() / 2 - 0.15**2) < 5 * 0.15**2 / math.sqrt(20_000)
    assert ((nearest.bincount() - 2500).abs() < 5 * math.sqrt(20_000 / 8 * 7 / 8)).all()


def test_rings_have_their_radii() -> None:
    radius = points("rings").norm(dim=1)
    ring = (radius / 0.75).round()
    assert set(ring.tolist()) == {1.0, 2.0, 3.0, 4.0}
    # The distance from the circle is N(0, 0.08^2) along the radius, up to the curvature std^2 / (2
    # r).
    residual = radius - 0.75 * ring
    assert abs(residual.std().item() - 0.08) < 5 * 0.08 / math.sqrt(2 * 20_000) + 0.001
    assert ((ring.long().bincount()[1:] - 5000).abs() < 5 * math.sqrt(20_000 / 4 * 3 / 4)).all()


def test_moons_lie_on_two_half_circles() -> None:
    x = points("moons")
    upper, lower = torch.tensor([-1.0, -0.5]), torch.tensor([1.0, 0.5])
    off = torch.minimum(((x - upper).norm(dim=1) - 2).abs(), ((x - lower).norm(dim=1) - 2).abs())
    assert off.max() < 6 * 0.15
    assert (
        x.mean(0).abs() < 5 * x.std(0) / math.sqrt(20_000)
    ).all()  # the moons are each other's half turn


def test_the_swiss_roll_is_a_spiral() -> None:
    """The radius tells the turn: angle = 4.5 pi r / 3, equal to the polar angle up to whole turns
    and noise.
    """
    x = points("swiss_roll")
    radius = x.norm(dim=1)
    turn = 4.5 * math.pi * radius / 3.0 - torch.atan2(x[:, 1], x[:, 0])
    off = torch.remainder(turn + math.pi, math.tau) - math.pi
    # Noise of 0.1 moves the radius by 0.1 and so the turn by 0.1 * 4.5 pi / 3 = 0.47, and the angle
    # by 0.1 / r <= 0.1.
    assert off.square().mean().sqrt() < math.hypot(0.47, 0.1) * 1.05
    assert off.mean().abs() < 0.02
    # The radius is uniform on [1, 3]: mean 2, standard deviation 1/sqrt(3); the noise adds 0.1^2 /
    # (2 r) to the mean.
    assert abs(radius.mean().item() - 2.0) < 5 / math.sqrt(3 * 20_000) + 0.005


def test_the_pinwheel_has_five_equal_arms() -> None:
    x = points("pinwheel").double()
    turned = torch.tensor(
        [
            [math.cos(math.tau / 5), -math.sin(math.tau / 5)],
            [math.sin(math.tau / 5), math.cos(math.tau / 5)],
        ]
    )
    # A fifth of a turn leaves the density as it is: mean 0 and an isotropic covariance of trace E
    # r^2.
    covariance = x.T @ x / 20_000
    rotated = turned.double() @ covariance @ turned.double().T
    assert (covariance - rotated).abs().max() < 0.06
    assert x.mean(0).abs().max() < 5 * math.sqrt(1.2 / 20_000)
    assert abs(covariance.trace() - (1.5**2 + 0.3**2 + 0.15**2)) < 5 * 0.95 / math.sqrt(20_000)
    # Undo the twist: radius and angle then give five clusters of tangential width 0.15.
    radius = x.norm(dim=1)
    angle = torch.atan2(x[:, 1], x[:, 0]) - 0.25 * (radius / 1.5).exp()
    off = torch.remainder(angle + math.pi / 5, math.tau / 5) - math.pi / 5
    assert (off * radius).square().mean().sqrt() < 0.2
