"""Decoupled annealing and split Gibbs sampling: their laws in closed form."""

import math

import pytest
import torch
from tests.helpers.posteriors import Components, covariance, moment_errors, normal

from allegory.inverse import (
    DAPS,
    ChainDraw,
    Function,
    IsotropicGaussian,
    Matrix,
    Measurement,
    Posterior,
    SplitGibbs,
    TweedieGaussian,
)
from allegory.inverse.linear_gaussian import conditional_draw
from allegory.inverse.split_gibbs import LikelihoodStep
from allegory.process import LinearLogSNR, Mixture, Path
from allegory.sampling import Noise, Sampler
from allegory.sampling.loop import SamplingLoop

DIMS = 3
COUNT = 20_000
STD = 0.4
MATRIX = normal(2, DIMS, seed=5)
Y = torch.tensor([0.3, -0.8], dtype=torch.float64)
SCALINGS = ("vp", "ve", "flow")


def path_of(scaling):
    return Path(LinearLogSNR(9.0, -14.0), scaling)


def sampled(prior, method, path, steps, count=COUNT):
    exact = Mixture(
        prior.means, None, covariances=prior.covariances, weights=prior.log_weights.exp(), path=path
    )
    start = path.prior_std * normal(count, DIMS, seed=9)
    sampler = Sampler("ddpm", steps=steps, spacing="log_snr")
    given = Measurement(Matrix(MATRIX), Y[None], STD)
    found = Posterior(exact, given, method, sampler)
    return found.sample(range(count), x_T=start, batch=count).x


def mixture():
    means = torch.tensor([[1.5, 0.0, 0.5], [-1.5, 0.5, 0.0], [0.0, -1.0, 1.0]], dtype=torch.float64)
    covariances = torch.stack([0.3 * covariance(DIMS, seed) for seed in (1, 2, 3)])
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return Components(means, covariances, weights.log())


def gaussian(cov):
    return Components(normal(1, DIMS, seed=1), cov[None], torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("steps", [1, 3])
def test_with_exact_draws_of_x0_the_samples_are_those_of_a_mixture_given_y(scaling, steps):
    posterior = mixture().given(MATRIX, Y, STD)

    def exact_draw(loop, measurement):
        return posterior.draw(loop.x, loop.level, loop.draw)

    x = sampled(mixture(), DAPS(exact_draw), path_of(scaling), steps)
    assert max(moment_errors(x, posterior.mean, posterior.covariance)) < 4.5

    # The share of each component, by its own posterior probability.
    density = torch.distributions.MultivariateNormal(posterior.means, posterior.covariances)
    share = (posterior.log_weights + density.log_prob(x[:, None])).softmax(1)
    error = (share.mean(0) - posterior.log_weights.exp()) / (share.var(0) / COUNT).sqrt()
    assert error.abs().max() < 4.5


@pytest.mark.parametrize("scaling", SCALINGS)
def test_by_tweedies_covariance_it_is_exact_for_any_gaussian(scaling):
    prior = gaussian(covariance(DIMS))
    posterior = prior.given(MATRIX, Y, STD)
    x = sampled(prior, DAPS(TweedieGaussian(1e-10)), path_of(scaling), 2)
    assert max(moment_errors(x, posterior.mean, posterior.covariance)) < 4.5


@pytest.mark.parametrize("scaling", SCALINGS)
def test_by_one_variance_it_is_exact_for_an_isotropic_gaussian(scaling):
    prior = gaussian(0.6**2 * torch.eye(DIMS, dtype=torch.float64))
    posterior = prior.given(MATRIX, Y, STD)
    x = sampled(prior, DAPS(IsotropicGaussian(0.6)), path_of(scaling), 2)
    assert max(moment_errors(x, posterior.mean, posterior.covariance)) < 4.5


def test_by_one_variance_it_is_biased_for_another_gaussian():
    prior = gaussian(covariance(DIMS))
    posterior = prior.given(MATRIX, Y, STD)
    x = sampled(prior, DAPS(IsotropicGaussian(0.6)), path_of("vp"), 2)
    assert max(moment_errors(x, posterior.mean, posterior.covariance)) > 10


def test_the_variance_is_that_of_data_of_one_width():
    (level,) = path_of("flow").levels([0.4])
    want = (level.sigma * 0.6) ** 2 / ((level.alpha * 0.6) ** 2 + level.sigma**2)
    assert math.isclose(IsotropicGaussian(0.6).std(level) ** 2, want)
    assert math.isclose(IsotropicGaussian(math.inf).std(level), level.sigma / level.alpha)


def test_a_long_chain_draws_as_the_closed_form_does():
    given = Measurement(Matrix(MATRIX), Y[None], STD).repeat(COUNT)
    as_function = Measurement(Function(lambda x: x @ MATRIX.to(x).T, (DIMS,)), given.y, STD)
    mean = normal(1, DIMS, seed=3).expand(COUNT, DIMS)
    want = gaussian(0.5**2 * torch.eye(DIMS, dtype=torch.float64))
    want.means = mean[:1]
    want = want.given(MATRIX, Y, STD)

    draw = Noise(range(COUNT), (DIMS,)).draw
    for x in (
        conditional_draw(given, mean, 0.5, draw),
        ChainDraw(count=12)(as_function, mean, 0.5, draw),
    ):
        assert max(moment_errors(x, want.mean, want.covariance)) < 4.5


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_likelihood_step_of_split_gibbs(scaling):
    # z ~ N(x, rho^2 I) times p(y | z), and the state is alpha z.
    path = path_of(scaling)
    (level,) = path.levels([0.4])
    x = normal(1, DIMS, seed=3)
    given = Measurement(Matrix(MATRIX), Y[None], STD).repeat(COUNT)
    loop = SamplingLoop(
        Mixture(x, 1.0, path=path),
        x.expand(COUNT, DIMS),
        path.clean,
        None,
        Noise(range(COUNT), (DIMS,)).draw,
    )
    found = loop.run([LikelihoodStep(level, given, conditional_draw)]) / level.alpha

    rho = level.sigma / level.alpha
    want = Components(x, rho**2 * torch.eye(DIMS, dtype=torch.float64)[None], torch.zeros(1))
    want = want.given(MATRIX, Y, STD)
    assert max(moment_errors(found, want.mean, want.covariance)) < 4.5


def test_split_gibbs_takes_rounds_and_reaches_every_level():
    path = path_of("vp")
    levels = Sampler(steps=6).grid(path).levels
    given = Measurement(Matrix(MATRIX), Y[None], STD)
    plan = SplitGibbs(inner=3, rounds=2).plan(given, levels)

    reached = [each.to.log_snr for each in plan if not each.stage]
    assert reached == [level.log_snr for level in levels[1:]]
    evaluations = sum(getattr(each, "needs_prediction", False) for each in plan)
    assert evaluations == 2 * (3 + 3 + 3 + 3 + 2 + 1)


def test_split_gibbs_with_fine_steps_is_near_the_posterior():
    # Its error falls with the number of steps and of rounds; at these it is below a tenth of the
    # standard deviations, and 4.5 standard errors of so many draws are added.
    prior = gaussian(covariance(DIMS, least=0.2))
    posterior = prior.given(MATRIX, Y, STD)
    path = Path(LinearLogSNR(7.0, -7.0))
    x = sampled(prior, SplitGibbs(inner=8, solver="sde_dpmpp2m", rounds=2), path, 20, 4000)
    bound = 0.1 + 4.5 / 4000**0.5
    stds = posterior.covariance.diagonal().sqrt()
    assert ((x.mean(0) - posterior.mean).abs() / stds).max() < bound
    assert (torch.cov(x.T) - posterior.covariance).abs().max() < bound * stds.max() ** 2


def test_choices_that_do_not_fit():
    with pytest.raises(ValueError, match="draws no noise"):
        SplitGibbs(solver="ddim")
    with pytest.raises(ValueError, match="inner=0"):
        SplitGibbs(0)
    with pytest.raises(ValueError, match="data_std"):
        IsotropicGaussian(0.0)
    with pytest.raises(ValueError, match="tolerance"):
        TweedieGaussian(0.0)
    with pytest.raises(ValueError, match="curvature"):
        ChainDraw(curvature=-1.0)
