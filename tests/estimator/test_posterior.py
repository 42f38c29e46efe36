"""Posteriors of a linear Gaussian simulator against their closed form.

The mixture of one component is exact here but for the error of its moments in n pairs, about
sqrt(1 / n) of a standard deviation; the network adds nothing.
"""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from allegory.estimator import (
    BoxPrior,
    DiffusionDensity,
    DiffusionPosterior,
    NormalPrior,
    WeightedDraws,
)
from allegory.estimator.support import support_of
from allegory.recipes.table_diffusion import TableDiffusionConfig

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = TableDiffusionConfig(components=1, transform=1, location=0)

MATRIX = np.array([[1.0, 0.5], [-0.3, 0.8]])
NOISE = 0.7
X = np.array([0.6, -0.4])
SEVERAL = np.array([[0.6, -0.4], [1.0, 0.1], [0.2, 0.3]])
PAIRS = 4000


def simulator(theta, seed):
    noise = np.random.default_rng(seed).standard_normal((len(theta), 2))
    return theta @ MATRIX.T + NOISE * noise


def closed_form(observed, prior):
    """The mean and the covariance of the posterior."""
    own = np.diag(1 / np.square(prior.std))
    precision = own + len(observed) * MATRIX.T @ MATRIX / NOISE**2
    covariance = np.linalg.inv(precision)
    pull = own @ np.asarray(prior.mean) + MATRIX.T @ observed.sum(0) / NOISE**2
    return covariance @ pull, covariance


@pytest.fixture(scope="module")
def prior():
    return NormalPrior((0.0, 0.0), (1.0, 1.0))


@pytest.fixture(scope="module")
def posterior(prior):
    one = TableDiffusionConfig(components=1, transform=1, location=0, start=9.0, seconds=None)
    density = DiffusionDensity(None, 1, model=one)
    return DiffusionPosterior(prior, simulator, density).fit(simulations=PAIRS)


def test_the_posterior_of_an_observation(posterior, prior):
    mean, covariance = closed_form(X[None], prior)
    theta = (
        mean + np.random.default_rng(5).standard_normal((50, 2)) @ np.linalg.cholesky(covariance).T
    )
    exact = multivariate_normal(mean, covariance).logpdf(theta)
    np.testing.assert_allclose(posterior.log_posterior(theta, X), exact, atol=0.15)

    drawn = posterior.sample(2000, X)
    errors = np.sqrt(np.diag(covariance) * (1 / 2000 + 4 / PAIRS))
    assert (abs(drawn.mean(0) - mean) < 4 * errors).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.04)


def test_the_likelihood_of_an_observation(posterior):
    theta = np.array([[0.0, 0.0], [1.0, -0.5], [-0.7, 0.9]])
    exact = [multivariate_normal(MATRIX @ each, NOISE**2 * np.eye(2)).logpdf(X) for each in theta]
    np.testing.assert_allclose(posterior.log_likelihood(theta, X), exact, atol=0.15)


def test_several_observations_are_combined(posterior, prior):
    mean, covariance = closed_form(SEVERAL, prior)
    theta = (
        mean + np.random.default_rng(6).standard_normal((30, 2)) @ np.linalg.cholesky(covariance).T
    )
    exact = multivariate_normal(mean, covariance).logpdf(theta)
    found = posterior.log_posterior(theta, SEVERAL)
    np.testing.assert_allclose(found - found.mean(), exact - exact.mean(), atol=0.3)

    drawn = posterior.draws(SEVERAL, 1000)
    errors = np.sqrt(np.diag(covariance) * (1 / drawn.effective_size + 9 / PAIRS))
    assert 50 < drawn.effective_size < 1000
    assert (abs(drawn.mean() - mean) < 4 * errors).all()
    assert (abs(drawn.resampled(1000).mean(0) - mean) < 6 * errors).all()


def repeated(theta, seed):
    """Three independent observations of each theta."""
    return np.stack([simulator(theta, 100 * seed + each) for each in range(3)], 1)


@pytest.fixture(scope="module")
def together(prior):
    one = TableDiffusionConfig(components=1, transform=1, location=0, start=9.0, seconds=None)
    density = DiffusionDensity(None, 1, model=one)
    return DiffusionPosterior(prior, repeated, density).fit(simulations=PAIRS)


def test_several_observations_of_each_theta_are_learned_together(together, prior):
    mean, covariance = closed_form(SEVERAL, prior)
    theta = mean + np.array([[0.0, 0.0], [0.3, -0.2], [-0.4, 0.1]])
    exact = multivariate_normal(mean, covariance).logpdf(theta)
    np.testing.assert_allclose(together.log_posterior(theta, SEVERAL), exact, atol=0.2)

    drawn = together.sample(2000, SEVERAL)
    errors = np.sqrt(np.diag(covariance) * (1 / 2000 + 9 / PAIRS))
    assert (abs(drawn.mean(0) - mean) < 4 * errors).all()
    likelihood = [multivariate_normal(MATRIX @ t, NOISE**2 * np.eye(2)).logpdf(X) for t in theta]
    np.testing.assert_allclose(together.log_likelihood(theta, X), likelihood, atol=0.15)

    with pytest.raises(ValueError, match="x: 2 of 3 observations"):
        together.sample(10, SEVERAL[:2])


@pytest.mark.slow
def test_more_observations_than_were_simulated_are_weighted(together, prior):
    five = np.concatenate([SEVERAL, [[0.9, 0.0], [0.1, -0.3]]])
    mean, covariance = closed_form(five, prior)
    drawn = together.draws(five, 1000)
    errors = np.sqrt(np.diag(covariance) * (1 / drawn.effective_size + 9 / PAIRS))
    assert (abs(drawn.mean() - mean) < 4 * errors).all()


def test_weights_by_the_likelihood_give_its_posterior_and_the_evidence(posterior, prior):
    drawn = posterior.draws(X, 1000, by_likelihood=True)
    exact = multivariate_normal(np.zeros(2), MATRIX @ MATRIX.T + NOISE**2 * np.eye(2)).logpdf(X)
    assert drawn.log_evidence == pytest.approx(exact, abs=0.1)
    assert drawn.effective_size > 900
    assert drawn.weights.std() > 1e-6  # without it all are alike
    assert posterior.draws(X, 50).weights.std() < 1e-12


def test_draws_without_replacement_are_different():
    theta, weights = np.arange(50.0)[:, None], np.linspace(-5, 0, 50)
    drawn = WeightedDraws.of(theta, weights)
    assert len(np.unique(drawn.resampled(40, replace=False))) == 40
    assert len(np.unique(drawn.resampled(40))) < 40
    with pytest.raises(ValueError, match="n=51: there are 50 different draws"):
        drawn.resampled(51, replace=False)


@pytest.mark.slow
def test_another_prior_after_training(posterior):
    other = NormalPrior((0.8, -0.5), (0.6, 0.6))
    mean, covariance = closed_form(X[None], other)
    drawn = posterior.draws(X, 2000, prior=other)
    errors = np.sqrt(np.diag(covariance) * (1 / drawn.effective_size + 4 / PAIRS))
    assert (abs(drawn.mean() - mean) < 4 * errors).all()


@pytest.mark.slow
@pytest.mark.parametrize("observed", [X, SEVERAL])
def test_the_mode_of_a_gaussian_is_its_mean(observed, posterior, prior):
    mean, covariance = closed_form(np.atleast_2d(observed), prior)
    found = posterior.mode(observed)
    assert (abs(found - mean) < 0.2 * np.sqrt(np.diag(covariance))).all()


def test_equal_weights_stand_for_all_draws_and_one_for_one():
    theta = np.zeros((8, 1))
    assert WeightedDraws.of(theta, np.full(8, -700.0)).effective_size == pytest.approx(8)
    assert WeightedDraws.of(theta, np.arange(8) * 900.0).effective_size == pytest.approx(1)
    with pytest.raises(ValueError, match="is 0 at each of 8 draws"):
        WeightedDraws.of(theta, np.full(8, -np.inf))


def test_draws_that_stand_for_few_are_warned_of(posterior):
    far = NormalPrior((6.0, 6.0), (0.1, 0.1))
    with pytest.warns(UserWarning, match=r"effective sample size 1\.\d of 1000 draws"):
        posterior.draws(X, 1000, prior=far)


def test_a_box_is_never_left():
    box = BoxPrior((-1.0, 2.0), (1.0, 5.0))
    theta = box.sample(300, 0)
    x = theta + 0.05 * np.random.default_rng(1).standard_normal(theta.shape)
    made = DiffusionPosterior(box, density=DiffusionDensity(None, 1, model=SMALL)).fit(theta, x)

    drawn = made.sample(300, np.array([0.999, 2.001]))
    assert np.isfinite(box.log_prob(drawn)).all()
    assert made.log_posterior([[1.5, 3.0]], [0.0, 3.0])[0] == -np.inf
    with pytest.raises(ValueError, match=r"theta: \[1.5, 3.0\] is not inside of the box"):
        made.fit([[1.5, 3.0]] * 2, x[:2])


def test_free_numbers_of_a_box_have_the_slope_that_is_said():
    support = support_of(BoxPrior((-1.0, 2.0), (1.0, 5.0)))
    theta, step = np.array([[0.3, 4.1], [-0.9, 2.2]]), 1e-6
    free = support.to_free(theta)
    np.testing.assert_allclose(support.from_free(free), theta, rtol=1e-12)
    slope = (support.to_free(theta + step) - support.to_free(theta - step)) / (2 * step)
    np.testing.assert_allclose(np.log(slope).sum(1), support.log_slope(theta), rtol=1e-7)


def test_free_numbers_of_a_box_are_those_that_are_said():
    """t + 0.2 atanh t, the logit's atanh alone near a face, and any number is inside."""
    support = support_of(BoxPrior((-1.0, 2.0), (1.0, 5.0)))
    t = np.array([[0.0, 0.5], [-0.9, 0.99]])
    theta = np.array([0.0, 3.5]) + np.array([1.0, 1.5]) * t
    np.testing.assert_allclose(support.to_free(theta), t + 0.2 * np.arctanh(t), atol=1e-14)
    far = support.from_free(np.array([[-50.0, 50.0]]))
    assert far[0, 0] > -1 and far[0, 1] < 5
    assert np.isfinite(support.log_slope(far)).all()


def test_without_its_likelihood_a_posterior_has_one_observation(prior):
    theta = prior.sample(50, 0)
    made = DiffusionPosterior(prior, density=DiffusionDensity(None, 1, model=SMALL))
    made.fit(theta, theta)
    assert np.isfinite(made.log_posterior(theta[:2], theta[:2])).all()
    made.fit(theta, theta, likelihood=False)  # nothing is left of the first
    assert made.sample(3, theta[0]).shape == theta[:3].shape
    assert np.isfinite(made.log_posterior(theta[:2], theta[0])).all()
    with pytest.raises(ValueError, match="the likelihood is not learned"):
        made.log_posterior(theta[:2], theta[:2])


def test_arguments_that_do_not_fit(prior):
    with pytest.raises(ValueError, match="give low < high"):
        BoxPrior((0.0,), (0.0,))
    with pytest.raises(ValueError, match="simulator=None"):
        DiffusionPosterior(prior).fit()
    with pytest.raises(ValueError, match="x: shape"):
        DiffusionPosterior(prior).fit(np.zeros((3, 2)), np.full((3, 2), np.nan))
