"""DPS: a step against its closed form on a Gaussian, in the driver, which records nothing."""

import pytest
import torch

from allegory.inverse import Matrix, Posterior, measure, posterior_method
from allegory.process import Mixture, Path
from allegory.sampling import Sampler
from allegory.sampling.loop import SamplingLoop

F64 = torch.float64
STD = 0.7
"""The data are N(0, STD^2 I); x0hat = STD^2 alpha / (alpha^2 STD^2 + sigma^2) x_t."""


@pytest.fixture
def problem():
    path = Path.vdm(8, -8)
    prior = Mixture(torch.zeros(1, 3, dtype=F64), STD, path=path)
    matrix = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 0.5]], dtype=F64)
    return prior, measure(Matrix(matrix), torch.ones(4, 3, dtype=F64), 0.3), matrix


@pytest.mark.parametrize("rule", ["norm", "square", "likelihood"])
def test_a_step_is_along_the_gradient_of_the_misfit(problem, rule):
    prior, measurement, matrix = problem
    t, s = prior.path.levels([0.6, 0.5])
    x = torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    slope = STD**2 * t.alpha / (t.alpha**2 * STD**2 + t.sigma**2)
    residual = measurement.y - slope * x @ matrix.T
    toward = slope * residual @ matrix  # -grad of half the square
    expected = {
        "norm": toward / residual.norm(dim=1, keepdim=True),
        "square": 2 * toward,
        "likelihood": toward / 0.3**2,
    }[rule]

    found = {}
    for scale in (0, 2):
        plan = posterior_method(f"dps:{scale}:rule={rule}").plan(measurement, [t, s])
        loop = SamplingLoop(prior, x, t, None, torch.zeros_like)
        found[scale] = loop.run(plan)
    change = (found[2] - found[0]) / 2
    if rule == "likelihood":
        shared = torch.tensor((t.log_snr - s.log_snr) / 2, dtype=F64).exp()
        expected = expected * (s.alpha * t.sigma**2 / t.alpha - s.sigma * shared * t.sigma)
    torch.testing.assert_close(change, expected, rtol=1e-10, atol=1e-12)


def test_without_information_it_is_the_ancestral_chain(problem):
    prior, measurement, _ = problem
    vague = measure(measurement.operator, torch.ones(4, 3, dtype=F64), 1e9)
    sampler = Sampler("ddpm", 10)
    found = Posterior(prior, vague, "dps:1:rule=likelihood", sampler).sample(range(4)).x
    plain = sampler.sample(prior, (3,), seeds=range(4))
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-6)
