r"""Classifier-free guidance of two Gaussians: the law of the guided flow, and the tilted density.

With y = x/alpha, u = sigma/alpha, C and S the variances with and without the condition, the flow is

    dy/du = u (w (y - m)/(C + u^2) + (1 - w) y/(S + u^2))

whose solution is y = h(u) z with h = (C + u^2)^(w/2) (S + u^2)^((1 - w)/2), so that h(0) is
s_c^w s_u^(1 - w), and whose mean at u = 0 is m h(0) w/2 int_0^inf dv / ((C + v) h(sqrt v)). With
q = (S - C)/(C + v) the integral is elementary for w = 3: 2 (sqrt(q0) + q0^1.5/3)/sqrt(S - C).
"""

import math

import pytest
import torch
from tests.helpers.two_gaussians import TwoGaussians, isotropic

from allegory import Path, grid, sample
from allegory.guidance import ClassifierFree
from allegory.process import LinearLogSNR
from allegory.sampling.mcmc.chain import run_chain
from allegory.sampling.mcmc.langevin import Hamiltonian
from allegory.sampling.mcmc.target import NoisedDensity

PATH = Path(LinearLogSNR(13, -14))
Z = torch.tensor([[-1.5, 0.3], [0.4, -0.7], [1.0, 2.0]], dtype=torch.float64)


def end_of_flow(predict, scale, steps=200):
    """Where the guided flow takes sigma z, without the noise of the last level."""
    walk = grid(PATH, steps, "log_snr", end="min")
    labels = torch.zeros(len(Z), dtype=torch.long)
    x_T = walk.levels[0].sigma * Z
    guided = ClassifierFree(scale)(predict)
    x = sample(guided, x_T, walk, solver="dpmpp3s", condition=labels)
    return x / walk.levels[-1].alpha


@pytest.mark.parametrize("scale", [2.0, 4.0, 8.0])
def test_the_flow_has_std_of_the_powers_and_not_of_the_tilt(scale):
    found = end_of_flow(isotropic(PATH, dims=2), scale)
    torch.testing.assert_close(found, 0.5**scale * Z, rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_covariances_with_common_axes_have_the_law_along_each(scale):
    turn = math.radians(30)
    c, s = math.cos(turn), math.sin(turn)
    axes = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    cond, free = torch.tensor([[0.5, 1.2], [1.0, 0.8]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    predict = TwoGaussians(
        PATH,
        (zero, axes @ torch.diag(cond**2) @ axes.T),
        (zero, axes @ torch.diag(free**2) @ axes.T),
    )
    found = end_of_flow(predict, scale) @ axes
    expected = free ** (1 - scale) * cond**scale * (Z @ axes)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_the_mean_of_the_flow_is_that_of_its_equation():
    mean, cond, free, scale = 0.8, 0.5, 1.0, 3.0
    found = end_of_flow(isotropic(PATH, mean=mean, dims=2), scale)
    gap = free**2 - cond**2
    q0 = gap / cond**2
    std = cond**scale * free ** (1 - scale)
    integral = 2 * (math.sqrt(q0) + q0**1.5 / 3) / math.sqrt(gap)
    expected = mean * std * scale / 2 * integral
    torch.testing.assert_close(found, expected + std * Z, rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [2.0, 8.0])
def test_a_metropolis_adjusted_chain_has_the_tilted_density(scale):
    """N(0, (w/s_c^2 + (1 - w)/s_u^2)^-1), here at a level with little noise."""
    count = 4000
    predict = isotropic(PATH)
    level = PATH.at(0.05)
    sigma, alpha = float(level.sigma), float(level.alpha)
    cond, free = ((alpha * std) ** 2 + sigma**2 for std in (0.5, 1.0))
    variance = 1 / (scale / cond + (1 - scale) / free)

    density = NoisedDensity(
        ClassifierFree(scale)(predict), level, torch.zeros(count, dtype=torch.long)
    )
    start = torch.zeros(count, 1, dtype=torch.float64)
    step = 0.6 * math.sqrt(variance) / sigma
    x = run_chain(Hamiltonian(step, 3), density, start, 25, seeds=range(count)).x
    assert abs(x.mean()) < 3 * math.sqrt(variance / count)
    assert abs(x.var() / variance - 1) < 3 * math.sqrt(2 / count)
