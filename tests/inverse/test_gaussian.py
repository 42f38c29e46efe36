"""Methods that are exact for Gaussian data, against the closed form."""

import pytest
import torch

from allegory.inverse import (
    ComposedOperator,
    Identity,
    Mask,
    Matrix,
    Measurement,
    Posterior,
    PseudoInverseGuidance,
    Scaled,
    TweedieGuidance,
    operator_named,
)
from allegory.inverse.derivatives import linearised
from allegory.inverse.tweedie import solved_by_covariance
from allegory.process import LinearLogSNR, Mixture, Path, Prediction
from allegory.sampling import Sampler

DIMS = 16
STD = 0.7
IMAGE = (1, 4, 4)
TIMES = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(seed: int = 3) -> torch.Tensor:
    factor = normal(DIMS, DIMS, seed=seed) / DIMS**0.5
    return factor @ factor.T + 0.05 * torch.eye(DIMS, dtype=torch.float64)


def matrix(rows: int, rank: int | None = None) -> torch.Tensor:
    full = normal(rows, DIMS, seed=7)
    return full if rank is None else normal(rows, rank, seed=8) @ normal(rank, DIMS, seed=9)


KNOWN = torch.arange(DIMS) % 3 != 0
OPERATORS = {
    "identity": Identity((DIMS,)),
    "mask": Mask(KNOWN),
    "matrix": Matrix(matrix(5)),
    "rank_deficient": Matrix(matrix(6, rank=3)),
    "tall": Matrix(matrix(20)),
    "composition": ComposedOperator(Matrix(normal(4, DIMS, seed=5)), Mask(KNOWN)),
    "scaled": Scaled(normal(DIMS, seed=6), (DIMS,)),
    "crop": operator_named("crop:0.5", IMAGE),
    "blur": operator_named("blur:0.6", IMAGE),
    "circular_blur": operator_named("blur:0.6:padding=circular", IMAGE),
    "downsample": operator_named("downsample:2", IMAGE),
    "grey": operator_named("grey", (4, 2, 2)),
    "projection": operator_named("projection:6", IMAGE),
    "fourier": operator_named("fourier:0.4", IMAGE),
}


def dense_of(operator):
    basis = torch.eye(DIMS, dtype=torch.float64).view(DIMS, *operator.shape)
    return operator(basis).flatten(1).T


class Closed:
    """The posterior of N(m, S) given y = A x + std eps, and its noised score, in closed form."""

    def __init__(self, mean, cov, operator, std, y):
        dense = dense_of(operator)
        inner = dense @ cov @ dense.T + std**2 * torch.eye(len(dense), dtype=torch.float64)
        gain = cov @ dense.T @ torch.linalg.pinv(inner, rtol=1e-12, hermitian=True)
        self.mean = mean + (y.flatten(1) - mean @ dense.T) @ gain.T
        self.cov = cov - gain @ dense @ cov

    def score(self, x, level):
        noised = level.alpha**2 * self.cov + level.sigma**2 * torch.eye(DIMS, dtype=torch.float64)
        return -torch.linalg.solve(noised, (x - level.alpha * self.mean).T).T


def problem(operator, std, cov, path, count=4):
    mean = normal(DIMS, seed=1)
    x = mean + normal(count, DIMS, seed=2) @ torch.linalg.cholesky(cov).T
    y = operator(x.view(count, *operator.shape))
    y = y + std * normal(*y.shape, seed=4)
    measurement = Measurement(operator, y, std)
    exact = Mixture(mean.view(1, *operator.shape), None, covariances=cov[None], path=path)
    return exact, measurement, Closed(mean, cov, operator, std, y)


@pytest.mark.parametrize("std", [0.3, 0.0])
@pytest.mark.parametrize("scaling", ["vp", "ve", "flow"])
@pytest.mark.parametrize("name", OPERATORS)
def test_tweedie_covariance_gives_the_score_of_any_gaussian(name, scaling, std):
    path = Path(LinearLogSNR(8.0, -8.0), scaling)
    exact, measurement, closed = problem(OPERATORS[name], std, covariance(), path)
    guided = TweedieGuidance(tolerance=1e-14).guide(measurement)(exact)

    for t in TIMES:
        level = path.at(float(t))
        x = level.alpha * closed.mean + level.marginal_std * normal(4, DIMS, seed=11)
        found = guided(x.view(4, *measurement.operator.shape), float(t)).view("score").flatten(1)
        want = closed.score(x, level)
        assert (found - want).norm() <= 1e-10 * want.norm()


@pytest.mark.parametrize("std", [0.3, 0.0])
@pytest.mark.parametrize("name", OPERATORS)
def test_pseudo_inverse_guidance_gives_the_score_of_an_isotropic_gaussian(name, std):
    path = Path(LinearLogSNR(8.0, -8.0))
    cov = STD**2 * torch.eye(DIMS, dtype=torch.float64)
    exact, measurement, closed = problem(OPERATORS[name], std, cov, path)
    guided = PseudoInverseGuidance(STD).guide(measurement)(exact)

    for t in TIMES:
        level = path.at(float(t))
        x = level.alpha * closed.mean + level.marginal_std * normal(4, DIMS, seed=11)
        found = guided(x.view(4, *measurement.operator.shape), float(t)).view("score").flatten(1)
        want = closed.score(x, level)
        assert (found - want).norm() <= 1e-10 * want.norm()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "cov"),
    [
        (TweedieGuidance(tolerance=1e-12), covariance()),
        (PseudoInverseGuidance(STD), STD**2 * torch.eye(DIMS, dtype=torch.float64)),
    ],
    ids=["mmps", "pigdm"],
)
def test_the_flow_map_reaches_the_mean_and_covariance_of_the_posterior(method, cov):
    # The flow of a Gaussian is affine: its images of the mean of p(x_1 | y) and of that mean plus
    # columns of a root of its covariance give both moments, up to the error of the solver.
    path = Path(LinearLogSNR(14.0, -8.0))
    exact, one, closed = problem(Matrix(matrix(5)), 0.3, cov, path, count=1)
    level, last = path.at(1.0), path.at(0.0)
    noise = torch.eye(DIMS, dtype=torch.float64)
    root = torch.linalg.cholesky(level.alpha**2 * closed.cov + level.sigma**2 * noise)
    start = level.alpha * closed.mean + torch.cat([torch.zeros(1, DIMS), root.T])

    sampler = Sampler("rk4", steps=200, end="min")
    found = Posterior(exact, one, method, sampler).sample(range(DIMS + 1), x_T=start).x
    mean, columns = found[0], found[1:] - found[0]

    end = last.alpha**2 * closed.cov + last.sigma**2 * noise
    assert (mean - last.alpha * closed.mean[0]).abs().max() <= 1e-6
    assert (columns.T @ columns - end).abs().max() <= 1e-6


def test_one_krylov_step_is_not_the_posterior():
    path = Path(LinearLogSNR(8.0, -8.0))
    exact, measurement, closed = problem(Matrix(matrix(5)), 0.3, covariance(), path)
    guided = TweedieGuidance(tolerance=1e-14, most=1).guide(measurement)(exact)
    x, level = normal(4, DIMS, seed=11), path.at(0.5)
    want = closed.score(x, level)
    assert (guided(x, 0.5).view("score") - want).norm() > 0.01 * want.norm()


class WrongDerivative:
    """x0 = alpha/sigma^2 C x_t, as if C were a covariance; its second variance is below 0."""

    path = Path(LinearLogSNR(8, -8))
    variances = torch.tensor([1.0, -0.0099, 1.0], dtype=torch.float64)

    def __call__(self, x_t, t, condition=None):
        level = self.path.at(t, like=x_t)
        x0 = level.alpha / level.sigma**2 * self.variances * x_t
        return Prediction.solve("x0", x0, x_t, level)


def test_an_error_of_the_derivative_does_not_divide_by_less_than_the_noise():
    # With noise of variance 0.01 the second number would have 0.01 - 0.0099, 1/100 of it.
    predict = WrongDerivative()
    (level,) = predict.path.levels([0.6])
    x_t, y = normal(1, 3, seed=1), normal(1, 3, seed=2)
    for axis, variance in enumerate(predict.variances.tolist()):
        known = torch.arange(3) == axis
        measurement = Measurement(Mask(known), y, 0.1)
        found = linearised(predict, x_t, level)
        residual = measurement.residual(found.prediction.x0)
        want = residual / (0.01 + variance) if variance > 0 else torch.zeros_like(residual)
        solved = solved_by_covariance(measurement, found, residual, 1e-10, None)
        assert torch.allclose(solved, want)
