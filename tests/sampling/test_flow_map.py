"""Sampling by jumps of a flow map, with that of a Gaussian."""

import pytest
import torch

from allegory.process import Mixture, Path
from allegory.process.flow_map import GaussianFlowMap
from allegory.sampling import Sampler
from allegory.sampling.flow_map import flow_map_solver

PATH = Path.vdm(14.0, -14.0)
MEAN = torch.tensor([1.0, -2.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.5, 0.6], [0.6, 0.5]], dtype=torch.float64)
EXACT = GaussianFlowMap(MEAN, COVARIANCE, PATH)


def samples(solver, steps, count=20_000):
    generator = torch.Generator().manual_seed(0)
    x_T = torch.randn(count, 2, dtype=torch.float64, generator=generator)
    return Sampler(solver, steps).sample(EXACT, x_T, seeds=range(count))


@pytest.mark.parametrize("solver", ["flow_map", "flow_map:0.5", "flow_map:1"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_any_number_of_exact_jumps_gives_the_data(solver, steps):
    x = samples(solver, steps)
    torch.testing.assert_close(x.mean(0), MEAN, atol=0.03, rtol=0)
    torch.testing.assert_close(x.mT.cov(), COVARIANCE, atol=0.04, rtol=0)


def test_jumps_without_noise_are_the_flow():
    torch.testing.assert_close(samples("flow_map", 1, 50), samples("flow_map", 7, 50))
    assert not torch.allclose(samples("flow_map:1", 7, 50), samples("flow_map", 7, 50))


def test_a_sample_is_that_of_its_own_seed():
    x_T = torch.ones(3, 2, dtype=torch.float64)
    sampler = Sampler("flow_map:1", 3)
    together = sampler.sample(EXACT, x_T, seeds=[4, 5, 6])
    torch.testing.assert_close(sampler.sample(EXACT, x_T[:1], seeds=[5]), together[1:2])


def test_a_denoiser_is_refused():
    oracle = Mixture(MEAN[None], 1.0, path=PATH)
    with pytest.raises(ValueError, match="give a flow map"):
        Sampler("flow_map", 2).sample(oracle, torch.zeros(1, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="gamma"):
        flow_map_solver(1.5)
