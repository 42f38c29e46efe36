"""Noise of measurements: densities that sum to 1, moments of draws, rows of a batch."""

import math

import pytest
import torch

from allegory.inverse import FunctionNoise, GaussianNoise, PoissonNoise
from allegory.process.noise import Noise, Stream

SHAPE = (2, 3)
COUNT = 20_000


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STD = normal(*SHAPE, seed=1).abs() + 0.1


@pytest.mark.parametrize("std", [0.3, STD, STD[None], torch.full((5, 1, 1), 0.7)])
def test_gaussian_is_the_density_of_torch(std):
    y, clean = normal(5, *SHAPE, seed=2), normal(5, *SHAPE, seed=3)
    want = torch.distributions.Normal(clean, torch.as_tensor(std, dtype=y.dtype)).log_prob(y)
    assert torch.allclose(GaussianNoise(std).log_prob(y, clean), want.sum((1, 2)), rtol=1e-12)


def test_gaussian_integrates_to_one():
    y = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    density = GaussianNoise(0.7).log_prob(y, torch.full_like(y, 0.4)).exp()
    assert float(torch.trapezoid(density, y[:, 0])) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("rate", [0.4, 3.0, 40.0])
def test_poisson_sums_to_one(rate):
    scale = 2.5
    y = torch.arange(400, dtype=torch.float64)[:, None] / scale
    density = PoissonNoise(scale).log_prob(y, torch.full_like(y, rate / scale)).exp()
    assert float(density.sum()) == pytest.approx(1.0, abs=1e-12)
    assert float((density * y[:, 0]).sum()) == pytest.approx(rate / scale, rel=1e-12)


def test_poisson_below_a_rate_of_zero_leads_back():
    clean = torch.tensor([[-0.5], [0.0], [1e-4], [0.5]], dtype=torch.float64, requires_grad=True)
    density = PoissonNoise(4.0).log_prob(torch.full((4, 1), 0.5, dtype=torch.float64), clean)
    (slope,) = torch.autograd.grad(density.sum(), clean)
    assert density.isfinite().all() and (slope[:3] > 0).all()
    assert (density[:-1].diff() > 0).all()
    assert float(slope[3, 0].detach()) == pytest.approx(4.0 * (2 / 2.0 - 1))


@pytest.mark.parametrize(
    "likelihood", [GaussianNoise(0.3), GaussianNoise(STD), PoissonNoise(5.0), PoissonNoise(STD)]
)
def test_draws_have_the_mean_and_variance(likelihood):
    clean = (normal(*SHAPE, seed=4).abs() + 0.2).expand(COUNT, *SHAPE)
    y = likelihood.draw(clean, range(COUNT))
    if isinstance(likelihood, GaussianNoise):
        variance = torch.as_tensor(likelihood.std).square().expand(SHAPE)
        fourth = 3 * variance.square()
    else:
        scale = torch.as_tensor(likelihood.scale)
        variance = clean[0] / scale
        fourth = (3 * variance.square() + variance / scale**2).expand(SHAPE)

    assert ((y.mean(0) - clean[0]).abs() <= 4 * (variance / COUNT).sqrt()).all()
    off = (y - clean[0]).square().mean(0) - variance
    assert (off.abs() <= 4 * ((fourth - variance.square()) / COUNT).sqrt()).all()


@pytest.mark.parametrize("likelihood", [GaussianNoise(0.3), PoissonNoise(5.0)])
def test_a_draw_is_its_own(likelihood):
    clean = normal(4, *SHAPE, seed=4).abs()
    y = likelihood.draw(clean, [3, 1, 4, 1])
    assert torch.equal(likelihood.draw(clean[2:3], [4]), y[2:3])
    assert torch.equal(likelihood.draw(clean[[0, 3]], [3, 1]), y[[0, 3]])
    assert not torch.equal(likelihood.draw(clean, [9, 1, 4, 1])[0], y[0])


@pytest.mark.parametrize("stream", set(Stream) - {Stream.MEASUREMENT})
def test_noise_of_a_measurement_is_no_other_draw_of_the_seed(stream):
    clean = torch.zeros(1, 50)
    eps = GaussianNoise(1.0).draw(clean, [7])
    assert (eps - Noise([7], (50,), stream).draw()).abs().min() > 0


@pytest.mark.parametrize(
    "likelihood",
    [
        GaussianNoise(torch.rand(5, *SHAPE) + 0.1),
        GaussianNoise(torch.rand(5, 1, 1) + 0.1),
        PoissonNoise(torch.rand(5, 1, 1) + 0.1),
    ],
)
def test_rows_are_those_of_the_items(likelihood):
    y, clean = normal(5, *SHAPE, seed=2).abs(), normal(5, *SHAPE, seed=3).abs()
    index = torch.tensor([3, 0, 3])
    some = likelihood.rows(index, y.ndim)
    found = some.log_prob(y[index], clean[index])
    assert torch.allclose(found, likelihood.log_prob(y, clean)[index], rtol=1e-12)


@pytest.mark.parametrize(
    "likelihood",
    [GaussianNoise(0.3), GaussianNoise(STD), GaussianNoise(STD[None]), PoissonNoise(2.0)],
)
def test_what_all_items_share_has_no_rows(likelihood):
    assert likelihood.rows([2, 1], 3) is likelihood


@pytest.mark.parametrize(
    "likelihood",
    [
        GaussianNoise(STD),
        PoissonNoise(2.0),
        FunctionNoise(lambda y, clean: -(y - clean).abs() - math.log(2)),
    ],
)
def test_what_is_not_observed_counts_nothing(likelihood):
    y, clean = normal(5, *SHAPE, seed=2).abs(), normal(5, *SHAPE, seed=3).abs()
    observed = torch.tensor([[True, False, True], [False, False, True]])
    whole = likelihood.log_prob(y, clean, observed)
    changed = torch.where(observed, y, y + 1)
    assert torch.equal(likelihood.log_prob(changed, clean, observed), whole)
    rest = likelihood.log_prob(y, clean, ~observed)
    assert torch.allclose(whole + rest, likelihood.log_prob(y, clean), rtol=1e-12)
    assert (rest.abs() > 1e-6).all()


def test_a_function_is_summed_per_item():
    y, clean = normal(5, *SHAPE, seed=2), normal(5, *SHAPE, seed=3)
    laplace = FunctionNoise(lambda y, clean: -(y - clean).abs() - math.log(2))
    want = torch.distributions.Laplace(clean, torch.ones_like(clean)).log_prob(y).sum((1, 2))
    assert torch.allclose(laplace.log_prob(y, clean), want, rtol=1e-12)

    per_item = FunctionNoise(lambda y, clean: (y - clean).flatten(1).sum(1))
    assert torch.equal(per_item.log_prob(y, clean), (y - clean).flatten(1).sum(1))


BAD = {
    "noise=-0.1: give a standard deviation of 0 or more": lambda: GaussianNoise(-0.1),
    "noise=nan: give a standard deviation of 0 or more": lambda: GaussianNoise(math.nan),
    "noise=tensor([ 0.1000, -1.0000]): give": lambda: GaussianNoise(torch.tensor([0.1, -1.0])),
    "noise=1e+30: its square is beyond the numbers of float32": lambda: GaussianNoise(1e30),
    "noise=1e-30: its square is beyond": lambda: GaussianNoise(1e-30),
    "noise=True: give a standard deviation": lambda: GaussianNoise(True),
    "noise=tensor(0.+1.j): give": lambda: GaussianNoise(torch.tensor(1j)),
    "seeds: 1 for 3 items": lambda: GaussianNoise(1.0).draw(torch.zeros(3, 2), [0]),
    "noise=0: there is no density of y": lambda: GaussianNoise(0.0).log_prob(STD[None], STD[None]),
    "scale=0: give a positive number": lambda: PoissonNoise(0),
    "A(x0): -1, and a count has a mean": lambda: PoissonNoise().draw(-torch.ones(1, 2), [0]),
    "likelihood: has no sampler": lambda: FunctionNoise(torch.sub).draw(STD[None], [0]),
    "its function returned (2,) for y of (1, 2, 3)": lambda: FunctionNoise(
        lambda y, clean: y.sum((0, 2))
    ).log_prob(STD[None], STD[None]),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_noise_is_refused(message):
    with pytest.raises(ValueError) as error:
        BAD[message]()
    assert message in str(error.value)
