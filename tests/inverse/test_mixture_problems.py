"""The problems of `benchmarks.inverse_mixture`: their posteriors against the joint Gaussians."""

import math
from types import SimpleNamespace

import pytest
import torch
from benchmarks.mixture_methods import ExactDraw
from benchmarks.mixture_problems import Problem
from torch.distributions import MultivariateNormal

from allegory.process import Path


def conditioned(means, log_weights, variance, problem):
    """p(k | y), and the mean and covariance of x0, of N(m_k, variance I) seen through A."""
    matrix, eye = problem.matrix, torch.eye(problem.dims, dtype=torch.float64)
    seen = variance * matrix @ matrix.mT + problem.noise**2 * torch.eye(len(problem.y))
    likelihood = MultivariateNormal(means @ matrix.mT, seen.double())
    share = (log_weights + likelihood.log_prob(problem.y)).softmax(0)

    precision = eye / variance + matrix.mT @ matrix / problem.noise**2
    covariance = torch.linalg.inv(precision)
    inside = (means / variance + matrix.mT @ problem.y / problem.noise**2) @ covariance
    mean = share @ inside
    gaps = inside - mean
    return share, mean, covariance + gaps.mT @ (share[:, None] * gaps)


def check_moments(draws, mean, covariance):
    """The mean and the variances of draws, within five standard errors."""
    variance = covariance.diagonal()
    error = (variance / len(draws)).sqrt()
    assert bool(((draws.mean(0) - mean).abs() < 5 * error).all())

    square = (draws - mean).square()
    error = square.std(0) / math.sqrt(len(draws))
    assert bool(((square.mean(0) - variance).abs() < 5 * error).all())


@pytest.mark.parametrize("measured", [1, 2, 4])
def test_exact_draws_have_the_moments_of_the_posterior(measured):
    problem = Problem.draw(8, measured, 3)
    share, mean, covariance = conditioned(problem.means, problem.weights.log(), 1.0, problem)
    torch.testing.assert_close(problem.posterior()[0], share)
    check_moments(problem.exact(count=40_000), mean, covariance)


def test_draws_given_a_state_have_the_moments_of_the_posterior():
    problem = Problem.draw(8, 2, 5)
    path = Path.vdm(12.0, -20.0)
    (level,) = path.levels([0.75])
    assert level.log_snr == pytest.approx(-12)
    generator = torch.Generator().manual_seed(0)
    x_t = level.mix(problem.exact()[:1], torch.ones(1, 8, dtype=torch.float64))

    variance = level.sigma**2 / (level.alpha**2 + level.sigma**2)
    means = variance * problem.means + level.alpha * x_t
    log_weights = problem.weights.log() - (x_t - level.alpha * problem.means).square().sum(1) / 2
    _, mean, covariance = conditioned(means, log_weights, variance, problem)

    loop = SimpleNamespace(
        x=x_t.expand(40_000, -1),
        level=level,
        prediction=lambda: None,
        draw=lambda like: torch.randn(like.shape, generator=generator, dtype=like.dtype),
    )
    check_moments(ExactDraw(problem)(loop, None), mean, covariance)
