"""Decoupled annealing with x0 chosen among candidates: its law on a mixture."""

import pytest
import torch
from tests.helpers.posteriors import Components, covariance, normal

from allegory.inverse import (
    DAPS,
    Function,
    ImportanceDraw,
    Matrix,
    Measurement,
    PoissonNoise,
    Posterior,
    TweedieGaussian,
)
from allegory.process import LinearLogSNR, Mixture, Path
from allegory.sampling import Sampler

DIMS = 3
STD = 0.4
MATRIX = normal(1, DIMS, seed=5)
Y = torch.tensor([0.3], dtype=torch.float64)
PATH = Path(LinearLogSNR(9.0, -14.0))
COUNT = 1000


def mixture():
    means = torch.tensor([[4.0, 0.0, 0.5], [-4.0, 0.5, 0.0], [0.0, -4.0, 1.0]], dtype=torch.float64)
    covariances = torch.stack([0.5 * covariance(DIMS, seed) for seed in (1, 2, 3)])
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return Components(means, covariances, weights.log())


def errors(method, measurement, steps=2):
    """Of the mean, and of the share of each component, of draws given y."""
    prior, posterior = mixture(), mixture().given(MATRIX, Y, STD)
    weights = prior.log_weights.exp()
    exact = Mixture(prior.means, None, covariances=prior.covariances, weights=weights, path=PATH)
    sampler = Sampler("ddpm", steps=steps, spacing="log_snr")
    x_T = normal(COUNT, DIMS, seed=9)
    x = Posterior(exact, measurement, method, sampler).sample(range(COUNT), x_T=x_T, batch=COUNT).x

    density = torch.distributions.MultivariateNormal(posterior.means, posterior.covariances)
    share = (posterior.log_weights + density.log_prob(x[:, None])).softmax(1).mean(0)
    stds = posterior.covariance.diagonal().sqrt()
    of_mean = ((x.mean(0) - posterior.mean) / stds).abs().max()
    return float(of_mean), float((share - posterior.log_weights.exp()).abs().max())


def test_many_candidates_draw_the_mixture_given_y():
    # 4 standard errors of so many draws are 0.13 of a standard deviation and 0.06 of a share; the
    # bias, of the order of 1/candidates, is below them.
    given = Measurement(Matrix(MATRIX), Y[None], STD)
    of_mean, of_share = errors(DAPS(ImportanceDraw(48, inner=20)), given)
    assert of_mean < 0.13
    assert of_share < 0.06

    of_mean, of_share = errors(DAPS(TweedieGaussian(1e-6)), given)
    assert of_mean > 0.5
    assert of_share > 0.2


def test_candidates_on_clean_data_need_no_linear_operator():
    function = Function(lambda x: x @ MATRIX.to(x).T, (DIMS,))
    of_mean, of_share = errors(
        DAPS(ImportanceDraw(96, inner=12, log_snr=None)), Measurement(function, Y[None], STD), 3
    )
    assert of_mean < 0.2  # fewer candidates count: none is drawn again given y
    assert of_share < 0.08


def test_one_candidate_ignores_the_measurement():
    # Weights have nothing to choose from: the error is that of the prior.
    given = Measurement(Matrix(MATRIX), Y[None], STD)
    of_mean, _ = errors(DAPS(ImportanceDraw(1, inner=8, log_snr=None)), given, 1)
    assert of_mean > 0.2


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="draws no noise"):
        ImportanceDraw(solver="ddim")
    with pytest.raises(ValueError, match="count=0"):
        ImportanceDraw(0)
    with pytest.raises(ValueError, match="noise=0"):
        errors(DAPS(ImportanceDraw(2, inner=2)), Measurement(Matrix(MATRIX), Y[None], 0.0))
    with pytest.raises(ValueError, match="Gaussian"):
        poisson = Measurement(Matrix(MATRIX), Y[None].round(), PoissonNoise(1.0))
        errors(DAPS(ImportanceDraw(2, inner=2)), poisson)
