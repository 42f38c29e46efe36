"""Twisting functions against p(y | x_t) of Gaussian data, and kernels that are moved."""

import math

import pytest
import torch

from allegory.inverse import GaussianNoise, Mask, Matrix, Measurement
from allegory.inverse.derivatives import linearised
from allegory.inverse.reverse_chains import ExactChain, ModelChain
from allegory.inverse.twists import IsotropicTwist, LikelihoodTwist, TweedieTwist, twist_named
from allegory.process import LinearLogSNR, Mixture, Path

F64 = torch.float64
PATH = Path(LinearLogSNR(8, -7), "vp")


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def gaussian_data(dims, isotropic=False):
    mean = normal(1, dims, seed=1)
    if isotropic:
        return Mixture(mean, 0.6, path=PATH), 0.36 * torch.eye(dims, dtype=F64)
    root = normal(dims, dims, seed=2) / dims**0.5
    covariance = root @ root.mT + 0.1 * torch.eye(dims, dtype=F64)
    return Mixture(mean, None, path=PATH, covariances=covariance[None]), covariance


def log_p(oracle, covariance, measurement, dense, x_t, level):
    """log p(y | x_t) by the joint Gaussian of y and x_t, per item over what it has measured."""
    known = torch.ones(measurement.y.shape, dtype=torch.bool)
    if measurement.observed is not None:
        known = measurement.observed.expand(measurement.y.shape)
    variance = measurement.variance.expand(measurement.y.shape)
    marginal = level.alpha**2 * covariance + level.sigma**2 * torch.eye(len(covariance), dtype=F64)
    gain = level.alpha * covariance @ torch.linalg.inv(marginal)
    inside = covariance - gain @ (level.alpha * covariance)

    found = []
    for i, x in enumerate(x_t):
        rows = dense[known[i]]
        mean = oracle.means[0] + gain @ (x - level.alpha * oracle.means[0])
        total = rows @ inside @ rows.mT + torch.diag(variance[i][known[i]])
        density = torch.distributions.MultivariateNormal(rows @ mean, total)
        found.append(density.log_prob(measurement.y[i][known[i]]))
    return torch.stack(found)


def both(oracle, covariance, measurement, dense, twist):
    (level,) = PATH.levels([0.55])
    x_t = normal(len(measurement), covariance.shape[0], seed=3).requires_grad_()
    truth = log_p(oracle, covariance, measurement, dense, x_t, level)
    (slope,) = torch.autograd.grad(truth.sum(), x_t)
    value, found = twist(measurement, linearised(oracle, x_t.detach(), level))
    return (value, found), (truth.detach(), slope)


@pytest.mark.parametrize("rows", [1, 3])
def test_tweedie_is_exact_for_gaussian_data(rows):
    oracle, covariance = gaussian_data(5)
    dense = normal(rows, 5, seed=4)
    noise = torch.rand(4, rows, generator=torch.Generator().manual_seed(5), dtype=F64) + 0.1
    measurement = Measurement(Matrix(dense), normal(4, rows, seed=6), GaussianNoise(noise))
    found, true = both(oracle, covariance, measurement, dense, TweedieTwist())
    torch.testing.assert_close(found[0], true[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found[1], true[1], rtol=1e-10, atol=1e-10)


def test_tweedie_counts_what_each_item_has_measured():
    oracle, covariance = gaussian_data(5)
    known = torch.tensor([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 0]]).bool()
    y = normal(3, 5, seed=7) * known
    measurement = Measurement(Mask(known, (5,)), y, 0.3)
    found, true = both(oracle, covariance, measurement, torch.eye(5, dtype=F64), TweedieTwist())
    torch.testing.assert_close(found[0], true[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found[1], true[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dims", [5, 70])
def test_isotropic_is_exact_for_isotropic_data(dims):
    """Above 64 numbers by the diagonal of A A^T, which is all there is of a mask."""
    oracle, covariance = gaussian_data(dims, isotropic=True)
    if dims == 5:
        dense = normal(3, 5, seed=4)
        measurement = Measurement(Matrix(dense), normal(4, 3, seed=6), 0.3)
    else:
        dense, known = torch.eye(dims, dtype=F64), torch.arange(dims) != 2
        measurement = Measurement(Mask(known), normal(4, dims, seed=6) * known, 0.3)
    found, true = both(oracle, covariance, measurement, dense, IsotropicTwist(0.6))
    torch.testing.assert_close(found[0], true[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1], true[1], rtol=1e-9, atol=1e-9)


def test_any_likelihood_is_that_of_the_predicted_x0():
    oracle, _ = gaussian_data(5)
    measurement = Measurement(Matrix(normal(2, 5, seed=4)), normal(4, 2, seed=6), 0.3)
    (level,) = PATH.levels([0.4])
    x = normal(4, 5, seed=3).requires_grad_()
    truth = measurement.log_likelihood(oracle(x, level).x0)
    (slope,) = torch.autograd.grad(truth.sum(), x)
    with torch.no_grad():
        found = LikelihoodTwist()(measurement, linearised(oracle, x.detach(), level))
    torch.testing.assert_close(found[0], truth.detach())
    torch.testing.assert_close(found[1], slope)


def test_auto_takes_the_first_that_a_measurement_allows():
    few = Measurement(Matrix(normal(2, 5, seed=4)), normal(4, 2, seed=6), 0.3)
    assert isinstance(twist_named("auto", few), TweedieTwist)

    many = Measurement(Mask(torch.ones(70).bool()), normal(4, 70, seed=6), 0.3)
    assert isinstance(twist_named("auto", many), IsotropicTwist)
    (level,) = PATH.levels([0.4])
    oracle, _ = gaussian_data(70, isotropic=True)
    with pytest.raises(ValueError, match=r"70 measured numbers per item.*isotropic"):
        TweedieTwist()(many, linearised(oracle, normal(4, 70, seed=3), level))

    with pytest.raises(ValueError, match=r"'tweedy'.*tweedie"):
        twist_named("tweedy", few)


@pytest.mark.parametrize("kind", ["model", "exact"])
def test_a_kernel_that_is_moved_has_the_weight_of_its_density(kind):
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=F64)
    oracle = Mixture(means, torch.tensor([0.3, 0.5]), path=PATH)
    here, to = PATH.levels([0.6, 0.3])
    x_t, noise, slope = (normal(6, 2, seed=seed) for seed in (8, 9, 10))
    prediction = oracle(x_t, here)
    chain = ModelChain(PATH) if kind == "model" else ExactChain(oracle)
    kernel = chain.kernel(x_t, prediction, to, None)

    shift = kernel.shift(slope)
    x_s = kernel.draw(noise, torch.rand(6, dtype=F64)) + shift
    truth = kernel.log_prob(x_s) - kernel.log_prob(x_s - shift)
    torch.testing.assert_close(kernel.log_ratio(x_s, shift), truth, rtol=1e-10, atol=1e-10)


def test_the_exact_kernel_moves_to_the_mean_given_y():
    """E[x_s | x_t, y] of Gaussian data, when the slope is grad log p(y | x_t)."""
    oracle = Mixture(torch.tensor([[0.4]], dtype=F64), 0.7, path=PATH)
    measurement = Measurement(Matrix(torch.ones(1, 1, dtype=F64)), normal(3, 1, seed=11), 0.2)
    here, to = PATH.levels([0.7, 0.3])
    x_t = normal(3, 1, seed=12)
    found = linearised(oracle, x_t, here)
    _, slope = TweedieTwist()(measurement, found)
    kernel = ExactChain(oracle).kernel(x_t, found.prediction, to, None)
    moved = kernel.draw(torch.zeros(3, 1, dtype=F64), torch.full((3,), 0.5)) + kernel.shift(slope)

    gain = 0.49 / (0.49 + 0.04)
    given_y = 0.4 + gain * (measurement.y - 0.4)
    for i in range(3):
        posterior = Mixture(given_y[i : i + 1], math.sqrt(0.49 * (1 - gain)), path=PATH)
        truth = posterior.reverse_kernel(x_t[i : i + 1], here, to).draw(
            torch.zeros(1, 1, dtype=F64), torch.full((1,), 0.5)
        )
        torch.testing.assert_close(moved[i : i + 1], truth, rtol=1e-10, atol=1e-10)
