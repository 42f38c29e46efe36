"""Densities of the toys: whole, and those of the samples."""

import math

import pytest
import torch

from allegory import Mixture, Path
from allegory.data import densities, load, log_density
from allegory.data.densities import DENSITIES
from allegory.data.toys import TOYS
from allegory.process import LinearLogSNR

SMOOTH = [name for name in DENSITIES if name != "checkerboard"]
SPACING = 0.05


def grid() -> torch.Tensor:
    """The middles of the cells of [-4, 4]^2."""
    middle = torch.arange(-4, 4, SPACING, dtype=torch.float64) + SPACING / 2
    return torch.cartesian_prod(middle, middle)


def test_every_toy_has_one() -> None:
    assert set(DENSITIES) == set(TOYS)


@pytest.mark.thorough
@pytest.mark.parametrize("name", DENSITIES)
def test_a_density_integrates_to_one_and_is_that_of_the_samples(name: str) -> None:
    """Its integral is 1, and the mean of log p over samples is the integral of p log p (within four
    standard errors).

    The rule of middles on a Gaussian of deviation s has the error exp(-2 pi^2 s^2/h^2): 1e-21 for
    0.08, the narrowest. What lies outside of the square is eight deviations away, 1e-15, but for
    the tails of the pinwheel's arms, a good eight too.
    """
    log_p = log_density(name, grid())
    p = log_p.exp() * SPACING**2
    assert abs(p.sum().item() - 1) < 1e-9
    found = log_density(name, TOYS[name](20_000, torch.Generator().manual_seed(5)))
    integral = torch.special.xlogy(p, log_p.exp()).sum().item()
    assert (
        abs(found.mean().item() - integral) < 4 * found.std().item() / math.sqrt(len(found)) + 1e-9
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_samples_fall_where_the_density_is(name: str) -> None:
    """Counts in the cells of a coarse grid against its integral over them: chi^2 with cells - 1
    degrees of freedom.
    """
    x = TOYS[name](20_000, torch.Generator().manual_seed(6)).double()

    def cell(points: torch.Tensor) -> torch.Tensor:
        return ((points + 4) / 0.4).floor().long() @ torch.tensor([20, 1])

    counts = torch.bincount(cell(x), minlength=400).double()
    expected = torch.zeros(400, dtype=torch.float64).index_add(
        0, cell(grid()), log_density(name, grid()).exp() * SPACING**2 * len(x)
    )
    # The cells of 0.4 hold eight by eight of the grid: the error of a sum is far below that of the
    # counts.
    full = expected > 20
    square = ((counts - expected).square() / expected)[full].sum().item()
    degrees = int(full.sum()) - 1
    assert square < degrees + 5 * math.sqrt(2 * degrees) + 0.05 * degrees


@pytest.mark.parametrize("name", SMOOTH)
def test_more_nodes_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = load(name).test.x
    first = log_density(name, x)
    for count in ("_MOON_NODES", "_ROLL_NODES", "_CELLS"):
        monkeypatch.setattr(densities, count, 2 * getattr(densities, count))
    assert (first - log_density(name, x)).abs().max() < 1e-9


def test_eight_gaussians_are_a_mixture() -> None:
    angle = math.tau / 8 * torch.arange(8, dtype=torch.float64)
    oracle = Mixture(
        2.5 * torch.stack([angle.cos(), angle.sin()], 1), 0.15, path=Path(LinearLogSNR(4, -4))
    )
    x = load("eight_gaussians").test.x.double()
    # Squares of up to (5/0.15)^2/2 in float64, and the standard deviation of a mixture in float32.
    assert (log_density("eight_gaussians", x) - oracle.log_prob(x)).abs().max() < 1e-5


def test_rings_are_circles_of_gaussians() -> None:
    """The rule of equal angles is exact to rounding on a circle: against the Bessel function."""
    angle = math.tau / 2000 * torch.arange(2000, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    centres = torch.cat([0.75 * k * circle for k in (1, 2, 3, 4)])
    x = load("rings").test.x[:200].double()
    square = (x[:, None] - centres).square().sum(2)
    expected = (-square / (2 * 0.08**2)).logsumexp(1) - math.log(8000 * math.tau * 0.08**2)
    assert (log_density("rings", x) - expected).abs().max() < 1e-10


def test_the_pinwheel_is_a_change_of_variables() -> None:
    """The map (a, b) -> x with the determinant that autograd finds; arms far from one another add
    nothing.
    """
    a = torch.linspace(1.2, 2.4, 30, dtype=torch.float64)
    b = 0.15 * torch.linspace(-2, 2, 30, dtype=torch.float64)
    b = b[torch.randperm(30, generator=torch.Generator().manual_seed(0))]

    def place(ab: torch.Tensor) -> torch.Tensor:
        angle = 0.25 * (ab[0] / 1.5).exp()
        return torch.stack(
            [ab[0] * angle.cos() - ab[1] * angle.sin(), ab[0] * angle.sin() + ab[1] * angle.cos()]
        )

    each = torch.stack([a, b], 1)
    slope = torch.vmap(torch.func.jacrev(place))(each).det().abs()
    gauss = (
        -((a - 1.5) / 0.3).square() / 2
        - (b / 0.15).square() / 2
        - math.log(5 * math.tau * 0.3 * 0.15)
    )
    found = log_density("pinwheel", torch.vmap(place)(each))
    gap = found - (gauss - slope.log())
    # A second arm is 2 a sin(pi/5) = 1.4 away at a = 1.2, and at b = 0.3 nearer by that: 1.1 is 7.3
    # deviations, against 2.
    assert (gap > -1e-9).all() and gap.max() < 1e-6


def test_checkerboard_has_an_edge() -> None:
    x = torch.tensor([[-3.0, -3.0], [1.0, 1.0], [-3.0, -1.0], [5.0, 1.0], [4.0, 3.0]])
    assert log_density("checkerboard", x)[:2].tolist() == [-math.log(32)] * 2
    assert log_density("checkerboard", x)[2:].tolist() == [-math.inf] * 3


def test_the_density_of_an_item_does_not_depend_on_the_batch() -> None:
    x = load("pinwheel").train.x[:2500]
    whole = log_density("pinwheel", x)
    assert whole.dtype == torch.float64
    # Vectorised and plain loops of the processor round a cosine differently.
    assert (whole[1999:2001] - log_density("pinwheel", x[1999:2001])).abs().max() < 1e-11
    assert log_density("pinwheel", torch.zeros(0, 2)).shape == (0,)


def test_points_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'moons'"):
        log_density("moon", torch.zeros(1, 2))
    with pytest.raises(ValueError, match="points of the plane"):
        log_density("moons", torch.zeros(3))
