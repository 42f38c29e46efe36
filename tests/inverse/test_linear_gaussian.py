"""A Gaussian given a linear measurement: mean and draws in closed form; a step of DiffPIR; the
square root by Lanczos' method."""

import math

import pytest
import torch
from tests.helpers.paths import ONE_PER_SCALING, PATHS
from tests.helpers.posteriors import covariance, moment_errors, normal

from allegory.inverse import DiffPIR, Identity, Mask, Matrix, Measurement
from allegory.inverse.diffpir import ProximalStep
from allegory.inverse.linear_gaussian import conditional_draw, conditional_mean
from allegory.numerics.lanczos import root_product
from allegory.process import Mixture
from allegory.sampling import Noise
from allegory.sampling.loop import SamplingLoop

DIMS = 6
KNOWN = torch.arange(DIMS) % 3 != 0
STDS = torch.tensor([0.2, 0.5, 0.1, 1.0, 0.3, 0.7], dtype=torch.float64)
OPERATORS = {
    "wide": (Matrix(normal(3, DIMS, seed=1)), 0.3),
    "tall": (Matrix(normal(9, DIMS, seed=1)), 0.3),
    "rank_deficient": (Matrix(normal(4, 2, seed=1) @ normal(2, DIMS, seed=2)), 0.3),
    "mask": (Mask(KNOWN), 0.3),
    "noise_per_number": (Identity((DIMS,)), STDS),
}


def normal_equations(given, mean, precision):
    """(A^T V^-1 A + kappa I) x = A^T V^-1 y + kappa mean, by a dense solution."""
    matrix = given.operator(torch.eye(DIMS, dtype=torch.float64)).T
    weighted = matrix.T / given.variance.expand(len(matrix))
    left = weighted @ matrix + precision * torch.eye(DIMS, dtype=torch.float64)
    right = given.y @ weighted.T + precision * mean
    return torch.linalg.solve(left, right.T).T, torch.linalg.inv(left)


@pytest.mark.parametrize("precision", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_mean_solves_the_normal_equations(name, precision):
    operator, std = OPERATORS[name]
    mean = normal(4, DIMS, seed=3)
    given = Measurement(operator, operator(normal(4, DIMS, seed=4)), std)
    want, _ = normal_equations(given, mean, precision)
    assert (conditional_mean(given, mean, precision) - want).abs().max() <= 1e-10


def test_without_noise_the_mean_is_that_of_the_pseudo_inverse():
    matrix, mean = normal(3, DIMS, seed=1), normal(4, DIMS, seed=3)
    std = torch.tensor([0.0, 0.3, 0.0, 0.3], dtype=torch.float64)[:, None].expand(4, 3)
    given = Measurement(Matrix(matrix), normal(4, 3, seed=4), std)
    found = conditional_mean(given, mean, 2.0)

    gap = given.y - mean @ matrix.T
    exact = mean + gap @ torch.linalg.pinv(matrix).T
    noisy, _ = normal_equations(Measurement(given.operator, given.y[1:2], 0.3), mean[1:2], 2.0)
    assert (found[[0, 2]] - exact[[0, 2]]).abs().max() <= 1e-10
    assert (found[1] - noisy[0]).abs().max() <= 1e-10
    assert (conditional_mean(given, mean, 0.0) - exact).abs().max() <= 1e-10


@pytest.mark.parametrize("name", ["wide", "mask", "noise_per_number"])
def test_the_law_of_the_draws(name):
    operator, std = OPERATORS[name]
    count, mean = 20_000, normal(1, DIMS, seed=3)
    given = Measurement(operator, operator(normal(1, DIMS, seed=4)), std)
    want, cov = normal_equations(given, mean, 1 / 0.6**2)

    x = conditional_draw(
        given.repeat(count), mean.expand(count, DIMS), 0.6, Noise(range(count), (DIMS,)).draw
    )
    assert max(moment_errors(x, want[0], cov)) < 4.5


@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_a_step_of_diffpir(path):
    path = PATHS[path]
    here, to = path.levels([0.5, 0.3])
    exact = Mixture(normal(2, DIMS, seed=4), 0.5, path=path)
    operator, std = OPERATORS["wide"]
    given = Measurement(operator, normal(3, 3, seed=5), std)
    x = normal(3, DIMS, seed=6)
    loop = SamplingLoop(exact, x, here, None, Noise(range(3), (DIMS,)).draw)
    found = loop.run([ProximalStep(to, given, 0.7, 0.3)])

    # rho_t = lambda std^2 alpha^2/sigma^2 of |y - A x|^2 + rho_t |x - x0|^2.
    rho = 0.7 * std**2 * here.alpha**2 / here.sigma**2
    matrix = operator.matrix
    left = matrix.T @ matrix + rho * torch.eye(DIMS, dtype=torch.float64)
    x0 = torch.linalg.solve(left, (given.y @ matrix + rho * exact(x, here).x0).T).T
    eps = (x - here.alpha * x0) / here.sigma
    noise = math.sqrt(0.7) * eps + math.sqrt(0.3) * Noise(range(3), (DIMS,)).draw(x)
    assert (found - to.alpha * x0 - to.sigma * noise).abs().max() <= 1e-10


def test_numbers_of_diffpir_that_do_not_fit():
    with pytest.raises(ValueError, match="weight=0"):
        DiffPIR(0.0)
    with pytest.raises(ValueError, match="zeta"):
        DiffPIR(1.0, 2.0)


def test_the_square_root_by_lanczos():
    matrices = torch.stack([covariance(DIMS, seed) for seed in (1, 2)])
    v = normal(2, DIMS, seed=3)
    values, vectors = torch.linalg.eigh(matrices)
    roots = vectors @ torch.diag_embed(values.sqrt()) @ vectors.mT
    want = (roots @ v[..., None])[..., 0]

    def product(u):
        return (matrices @ u[..., None])[..., 0]

    assert (root_product(product, v, tolerance=1e-12) - want).abs().max() <= 1e-9
    assert (root_product(product, v, most=2) - want).abs().max() > 1e-3


def test_the_square_root_of_a_matrix_of_two_eigenvalues_takes_two_products():
    # Items that end sooner (one eigenvalue, a zero vector) stay as they were.
    direction = torch.nn.functional.normalize(normal(DIMS, seed=1), dim=0)
    matrix = torch.eye(DIMS, dtype=torch.float64) + 8 * torch.outer(direction, direction)
    v = torch.stack([normal(DIMS, seed=2), direction, torch.zeros(DIMS, dtype=torch.float64)])
    products = []

    def product(u):
        products.append(u)
        return u @ matrix

    found = root_product(product, v)
    root = torch.eye(DIMS, dtype=torch.float64) + 2 * torch.outer(direction, direction)
    assert (found - v @ root).abs().max() <= 1e-10
    assert len(products) == 2
