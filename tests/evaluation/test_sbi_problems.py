"""The problems of `benchmarks.simulation_based`: simulators, likelihoods and exact posteriors agree
with each other, and with the reference posteriors of sbibm where its files are installed."""

import math

import pytest
import torch
from benchmarks.sbi_judges import calibration
from benchmarks.sbi_priors import Box, ExactProblem, generator
from benchmarks.sbi_problems import PROBLEMS, LocationMixture
from benchmarks.sbi_reference import Reference, tasks
from torch.distributions import MultivariateNormal

EXACT = [name for name, problem in PROBLEMS.items() if isinstance(problem, ExactProblem)]


def reference(name):
    try:
        tasks()
    except FileNotFoundError:
        pytest.skip("needs the files of sbibm 1.1.0, on the path of Python")
    return Reference.read(name)


def agree(a, a_error, b, b_error):
    """Whether estimates with standard errors are equal, within five of them."""
    gap = (a - b).abs()
    assert bool((gap < 5 * (a_error.square() + b_error.square()).sqrt() + 1e-12).all()), gap


def weighted(values, log_weights):
    """The mean of rows by self-normalised weights, its standard error, and the effective size."""
    weights = log_weights.softmax(0)
    mean = weights @ values
    error = (weights[:, None] * (values - mean)).square().sum(0).sqrt()
    return mean, error, 1 / weights.square().sum().item()


def plain(values):
    return values.mean(0), values.std(0) / math.sqrt(len(values))


def test_the_posterior_of_gaussian_linear_is_normal_at_half_the_observation():
    problem = PROBLEMS["gaussian_linear"]
    theta, x = torch.randn(2, 7, 10, dtype=torch.float64, generator=generator(0))
    known = MultivariateNormal(x / 2, 0.05 * torch.eye(10).double())
    joint = problem.prior.log_prob(theta) + problem.log_likelihood(theta, x)
    torch.testing.assert_close(joint - problem.log_evidence(x), known.log_prob(theta))


def test_slcp_is_four_points_of_the_normal_distribution_of_the_paper():
    theta = torch.tensor([0.7, -2.9, -1.0, -0.9, 0.6], dtype=torch.float64)
    s1, s2, rho = 1.0, 0.81, math.tanh(0.6)
    S = torch.tensor([[s1**2, rho * s1 * s2], [rho * s1 * s2, s2**2]], dtype=torch.float64)
    x = torch.randn(3, 8, dtype=torch.float64, generator=generator(0))
    known = MultivariateNormal(theta[:2], S).log_prob(x.unflatten(1, (4, 2))).sum(1)
    found = PROBLEMS["slcp"].log_likelihood(theta.expand(3, -1), x)
    torch.testing.assert_close(found, known, atol=1e-3, rtol=0)


def test_the_filter_of_bernoulli_glm_has_the_prior_of_the_paper():
    F = torch.zeros(9, 9, dtype=torch.float64)
    for i in range(9):
        F[i, i] = 1 + math.sqrt(i / 9)
        if i > 0:
            F[i, i - 1] = -2
        if i > 1:
            F[i, i - 2] = 1
    precision = PROBLEMS["bernoulli_glm"].prior.precision
    torch.testing.assert_close(precision[1:, 1:], F.mT @ F)
    assert precision[0].tolist() == [0.5] + 9 * [0.0]

    theta = PROBLEMS["bernoulli_glm"].prior.draw(100_000, generator(0))
    square = (theta @ precision * theta).sum(1)
    agree(*plain(square), torch.tensor(10.0), torch.tensor(0.0))


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_likelihood_ratios_turn_one_simulator_into_another(name):
    problem = PROBLEMS[name]
    step = {"two_moons": 0.003, "slcp": 0.05, "gaussian_mixture": 0.03}.get(name, 0.05)
    one = problem.prior.draw(1, generator(5))
    if name == "slcp":
        one = torch.tensor([[0.5, -1.0, 1.1, -1.3, 0.4]], dtype=torch.float64)
    other = one + step * torch.linspace(-1, 1, one.shape[1]).double()
    first, second = one.expand(100_000, -1), other.expand(100_000, -1)
    x, y = problem.simulate(first, generator(1)), problem.simulate(second, generator(2))

    ratio = problem.log_likelihood(second, x) - problem.log_likelihood(first, x)
    scaled = [(each - x.mean(0)) / x.std(0) for each in (x, y)]
    moments = [torch.cat([each, each.square()], 1) for each in scaled]
    agree(*weighted(moments[0], ratio)[:2], *plain(moments[1]))
    if name not in ("two_moons", "bernoulli_glm"):
        agree(*plain(ratio.exp()), torch.tensor(1.0), torch.tensor(0.0))


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name != "two_moons"])
def test_the_score_of_the_likelihood_has_mean_zero_over_simulations(name):
    problem = PROBLEMS[name]
    one = problem.prior.draw(1, generator(6))
    theta = one.expand(100_000, -1).clone().requires_grad_()
    x = problem.simulate(theta.detach(), generator(1))
    (score,) = torch.autograd.grad(problem.log_likelihood(theta, x).sum(), theta)
    mean, error = plain(score)
    agree(mean, error, torch.zeros(()), torch.zeros(()))


@pytest.mark.parametrize("name", ["two_moons", "gaussian_mixture", "a box of two numbers"])
def test_the_evidence_is_the_mean_likelihood_over_the_prior(name):
    problem = PROBLEMS.get(name, LocationMixture(Box(2, 1.0), (math.sqrt(0.1),)))
    theta = problem.prior.draw(300_000, generator(0))
    x = problem.simulate(theta[:4], generator(1))
    for one in x:
        mean, error = plain(problem.log_likelihood(theta, one).exp())
        found = problem.log_evidence(one).exp()
        agree(mean, error, found, 0.002 * found)


@pytest.mark.parametrize("name", EXACT)
def test_exact_posteriors_are_calibrated_and_wider_ones_are_not(name):
    problem = PROBLEMS[name]
    theta, others = (problem.prior.draw(500, generator(seed)) for seed in (0, 1))
    x = problem.simulate(theta, generator(2))
    draws = torch.stack([problem.posterior(one, 15, generator(9 + i)) for i, one in enumerate(x)])
    found = calibration(problem, theta, x, draws, others)
    assert found["inside the band"]
    assert found["coverage"]["0.5"][0] == pytest.approx(0.5, abs=5 * found["coverage"]["0.5"][1])

    centre = theta[:, None] if name == "gaussian_mixture" else draws.mean(1, keepdim=True)
    wide = centre + 1.4 * (draws - centre)
    assert not calibration(problem, theta, x, wide, others)["inside the band"]


def test_ranks_of_the_likelihood_reject_draws_from_the_prior_and_tarp_does_not():
    problem = PROBLEMS["slcp"]
    theta, others = (problem.prior.draw(500, generator(seed)) for seed in (0, 1))
    x = problem.simulate(theta, generator(2))
    draws = problem.prior.draw(500 * 15, generator(3)).unflatten(0, (500, 15))
    found = calibration(problem, theta, x, draws, others)
    assert found["TARP p"] > 0.01 > 1e-6 > found["likelihood ranks p"]
    assert not found["inside the band"]


@pytest.mark.parametrize("name", EXACT)
def test_exact_posteriors_have_the_moments_of_the_reference(name):
    problem, known = PROBLEMS[name], reference(name)
    for x, draws in zip(known.x, known.draws, strict=True):
        own, centre = problem.posterior(x, 10_000, generator(1)), draws.mean(0)
        for power in (1, 2):
            agree(*plain((own - centre) ** power), *plain((draws - centre) ** power))
        distances = [(each - centre).norm(dim=1).log() for each in (own, draws)]
        agree(*plain(distances[0]), *plain(distances[1]))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["slcp", "two_moons", "gaussian_mixture"])
def test_prior_draws_with_likelihood_weights_have_the_moments_of_the_reference(name):
    problem, known = PROBLEMS[name], reference(name)
    theta = problem.prior.draw(600_000, generator(0))
    sizes = []
    for x, draws in zip(known.x, known.draws, strict=True):
        centre, scale = draws.mean(0), draws.std(0)
        functions = [((each - centre) / scale) for each in (theta, draws)]
        mean, error, size = weighted(_powers(functions[0]), problem.log_likelihood(theta, x))
        sizes.append(size)
        if size > 100:
            agree(mean, error, *plain(_powers(functions[1])))
    assert sum(size > 100 for size in sizes) >= 4


def test_the_radius_of_two_moons_has_the_density_of_polar_coordinates():
    """The reference has r ~ N(0.1, 0.01^2); a likelihood without 1 / r would have 0.101."""
    problem, known = PROBLEMS["two_moons"], reference("two_moons")
    x = known.x[0]
    u, v = (x - problem._mean(known.draws[0])).unbind(-1)
    agree(*plain(torch.hypot(u - 0.25, v)), torch.tensor(0.1), torch.tensor(0.0))


def test_weighted_normal_draws_have_the_moments_of_the_reference_of_bernoulli_glm():
    problem, known = PROBLEMS["bernoulli_glm"], reference("bernoulli_glm")
    for x, draws in zip(known.x, known.draws, strict=True):
        centre, scale = draws.mean(0), draws.std(0)
        proposal = MultivariateNormal(centre, 1.2 * torch.cov(draws.mT))
        root = torch.linalg.cholesky(1.2 * torch.cov(draws.mT))
        noise = torch.randn(50_000, 10, dtype=torch.float64, generator=generator(0))
        theta = centre + noise @ root.mT

        target = problem.log_likelihood(theta, x) + problem.prior.log_prob(theta)
        functions = [_powers((each - centre) / scale) for each in (theta, draws)]
        mean, error, size = weighted(functions[0], target - proposal.log_prob(theta))
        assert size > 10_000
        agree(mean, error, *plain(functions[1]))


def _powers(values):
    return torch.cat([values, values.square(), values.abs()], 1)
