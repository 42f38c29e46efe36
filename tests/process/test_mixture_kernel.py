"""The exact reverse kernels of mixtures: Bayes' rule, the marginals of a chain, and draws."""

import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process import Mixture, kernel
from allegory.process.empirical import Empirical

NAMES = ("linear-vp", "cosine_inf-vp", "straight-flow", "geometric-ve")
F64 = torch.float64


def isotropic(path):
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3], [0.2, -1.1]], dtype=F64)
    return Mixture(means, 0.4, path=path, weights=torch.tensor([0.5, 0.2, 0.3]))


def diagonal(path):
    stds = torch.tensor([[0.2, 0.5], [0.6, 0.3], [0.3, 0.4]], dtype=F64)
    return Mixture(isotropic(path).means, stds, path=path, weights=torch.tensor([0.5, 0.2, 0.3]))


def full(path):
    root = torch.tensor([[[0.5, 0.0], [0.3, 0.2]], [[0.3, 0.0], [-0.2, 0.6]]], dtype=F64)
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=F64)
    weights = torch.tensor([0.3, 0.7])
    return Mixture(means, None, path=path, covariances=root @ root.mT, weights=weights)


def points(path):
    return Empirical(isotropic(path).means, path, std=0.3)


KINDS = [isotropic, diagonal, full, points]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("s", [0.35, "clean"])
def test_the_kernel_is_bayes_rule(make, name, s):
    """p(x_s | x_t) = q(x_t | x_s) p(x_s) / p(x_t)."""
    path = PATHS[name]
    oracle = make(path)
    here, other = path.levels([0.6, 0.35])
    to = path.clean if s == "clean" else other
    generator = torch.Generator().manual_seed(1)
    x_t, x_s = torch.randn(2, 7, 2, generator=generator, dtype=F64)

    forward = kernel.transition(x_s, to, here).log_prob(x_t)
    truth = forward + oracle.log_prob(x_s, to) - oracle.log_prob(x_t, here)
    found = oracle.reverse_kernel(x_t, here, to)
    torch.testing.assert_close(found.log_prob(x_s), truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", KINDS)
def test_times_per_item_give_what_each_alone_gives(make):
    path = PATHS["linear-vp"]
    oracle = make(path)
    t, s = torch.tensor([0.6, 0.9, 0.3], dtype=F64), torch.tensor([0.5, 0.1, 0.0], dtype=F64)
    x_t, x_s = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(2), dtype=F64)
    together = oracle.reverse_kernel(x_t, t, s).log_prob(x_s)
    for i in range(3):
        (here,), (to,) = path.levels(t[i : i + 1]), path.levels(s[i : i + 1])
        alone = oracle.reverse_kernel(x_t[i : i + 1], here, to).log_prob(x_s[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["straight-flow", "geometric-ve"])
def test_two_steps_of_any_length_reach_the_mixture(make, name):
    """Mean and second moments of 40,000 draws, within 5 standard errors."""
    path = PATHS[name]
    oracle = make(path)
    generator = torch.Generator().manual_seed(3)
    first, middle = path.levels([1.0, 0.5])
    count = 40_000

    def draws(density):
        noise = torch.randn(count, 2, generator=generator, dtype=F64)
        return density.draw(noise, torch.rand(count, generator=generator, dtype=F64))

    x = draws(oracle.marginal(first))
    x = draws(oracle.reverse_kernel(x, first, middle))
    x = draws(oracle.reverse_kernel(x, middle, path.clean))

    exact = oracle.sample(range(count))
    for mine, true in (
        (x, exact),
        (x[:, :, None] * x[:, None], exact[:, :, None] * exact[:, None]),
    ):
        gap = (mine.mean(0) - true.mean(0)).abs()
        error = (mine.var(0) / count + true.var(0) / count).sqrt()
        assert (gap < 5 * error).all()


@pytest.mark.parametrize("make", [isotropic, full])
def test_the_draws_have_the_density(make):
    """The mean of log p over draws is minus the entropy, by a fine sum on the plane."""
    path = PATHS["linear-vp"]
    oracle = make(path)
    here, to = path.levels([0.8, 0.4])
    x_t = torch.tensor([[0.3, -0.2]], dtype=F64)
    axis = torch.linspace(-6, 6, 601, dtype=F64)
    plane = torch.cartesian_prod(axis, axis)
    density = oracle.reverse_kernel(x_t, here, to)
    log_p = density.log_prob(plane)
    cell = float(axis[1] - axis[0]) ** 2
    assert float((log_p.exp() * cell).sum()) == pytest.approx(1, abs=1e-6)

    generator = torch.Generator().manual_seed(4)
    count = 20_000
    many = oracle.reverse_kernel(x_t.expand(count, 2), here, to)
    x = many.draw(
        torch.randn(count, 2, generator=generator, dtype=F64),
        torch.rand(count, generator=generator, dtype=F64),
    )
    mean = (plane * log_p.exp()[:, None] * cell).sum(0)
    entropy = -(log_p.exp() * log_p * cell).sum()
    found = many.log_prob(x)
    assert (x.mean(0) - mean).abs().max() < 4 * x.std(0).max() / count**0.5
    assert abs(float(found.mean() + entropy)) < 4 * float(found.std()) / count**0.5


def test_points_reach_one_of_the_points():
    """At the clean end of data without width the kernel has no density, and draws are data."""
    path = PATHS["linear-vp"]
    oracle = Empirical(isotropic(path).means, path)
    (here,) = path.levels([0.5])
    x_t = torch.randn(50, 2, generator=torch.Generator().manual_seed(5), dtype=F64)
    density = oracle.reverse_kernel(x_t, here, path.clean)
    assert not density.has_density

    x = density.draw(torch.randn(50, 2, dtype=F64), torch.rand(50, dtype=F64))
    assert (x[:, None] == oracle.means).all(-1).any(1).all()


def test_a_label_keeps_its_components():
    path = PATHS["linear-vp"]
    labelled = Mixture(isotropic(path).means, 0.1, path=path, labels=torch.arange(3))
    first, last = path.levels([1.0, 0.0])
    condition = torch.tensor([0, 1, 2, 1])
    noise = torch.zeros(4, 2, dtype=F64)
    uniform = torch.full((4,), 0.5, dtype=F64)
    at_start = labelled.marginal(first, condition).draw(noise, uniform)
    torch.testing.assert_close(at_start, first.alpha * labelled.means[condition])

    x = labelled.reverse_kernel(at_start, first, last, condition).draw(noise, uniform)
    torch.testing.assert_close(x, last.alpha * labelled.means[condition])
    assert math.isfinite(float(x.sum()))
