"""Whole chains against the published recursions: what one step, or the order of accuracy, cannot
see.
"""

import math
from itertools import pairwise

import torch

from allegory import Mixture, Path, initial_noise, sample
from allegory.process import LinearLogSNR
from allegory.process.coefficients import weighted_sum
from allegory.process.noise import Noise
from allegory.sampling import SOLVERS, Solver, Update

PATH = Path(LinearLogSNR(6, -5))
TIMES = [1.0, 0.83, 0.7, 0.41, 0.3, 0.08]


def oracle():
    return Mixture(torch.tensor([[1.0, 0.2], [-0.8, 0.5]]).double(), 0.3, path=PATH)


def time(t):
    return torch.tensor(t, dtype=torch.float64)


def test_dpmpp2m_uses_the_prediction_of_the_step_before():
    """Lu et al. 2022b, algorithm 2, over unequal steps: an older prediction would be second order
    too.
    """
    predict, x = oracle(), torch.randn(4, 2, dtype=torch.float64)
    got = sample(predict, x, TIMES, solver="dpmpp2m")
    half = [(6 - 11 * t) / 2 for t in TIMES]  # lambda = log(alpha/sigma)
    alpha = [1 / math.sqrt(1 + math.exp(-2 * lam)) for lam in half]
    sigma = [1 / math.sqrt(1 + math.exp(2 * lam)) for lam in half]
    predictions: list[torch.Tensor] = []
    for i in range(1, len(TIMES)):
        predictions.append(predict(x, time(TIMES[i - 1])).x0)
        h = half[i] - half[i - 1]
        data = predictions[-1]
        if i > 1:
            r = (half[i - 1] - half[i - 2]) / h
            data = (1 + 1 / (2 * r)) * predictions[-1] - 1 / (2 * r) * predictions[-2]
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (math.exp(-h) - 1) * data
    torch.testing.assert_close(got, x, rtol=1e-10, atol=1e-10)


def test_heun_is_the_published_recursion():
    """Karras et al. 2022, algorithm 1, in x/alpha and sigma/alpha, where the ODE is d(x/alpha)/du =
    eps.
    """
    predict, x = oracle(), torch.randn(4, 2, dtype=torch.float64)
    got = sample(predict, x, TIMES, solver="heun")
    u = [math.exp(-(6 - 11 * t) / 2) for t in TIMES]
    alpha = [1 / math.sqrt(1 + ratio**2) for ratio in u]
    for i in range(1, len(TIMES)):
        slope = predict(x, time(TIMES[i - 1])).eps
        ahead = x / alpha[i - 1] + (u[i] - u[i - 1]) * slope
        slope = (slope + predict(alpha[i] * ahead, time(TIMES[i])).eps) / 2
        x = alpha[i] * (x / alpha[i - 1] + (u[i] - u[i - 1]) * slope)
    torch.testing.assert_close(got, x, rtol=1e-10, atol=1e-10)


def test_ddpm_draws_in_order_from_each_item_s_own_stream():
    """x_s = mean of q(x_s | x_t, x0_hat) + std z with the next draw of every item, by hand over the
    whole chain.
    """
    predict, x, seeds = oracle(), torch.randn(3, 2, dtype=torch.float64), [7, 0, 3]
    got = sample(predict, x, TIMES, solver="ddpm", seeds=seeds)
    noise = Noise(seeds, (2,))
    for t, s in pairwise(TIMES):
        snr_t, snr_s = math.exp(6 - 11 * t), math.exp(6 - 11 * s)
        a_t, a_s = math.sqrt(snr_t / (1 + snr_t)), math.sqrt(snr_s / (1 + snr_s))
        step = (a_t / a_s) ** 2  # Ho et al. 2020: alpha_t of the step, 1 - beta_t
        x0 = predict(x, time(t)).x0
        mean = (math.sqrt(step) * (1 - a_s**2) * x + a_s * (1 - step) * x0) / (1 - a_t**2)
        std = math.sqrt((1 - step) * (1 - a_s**2) / (1 - a_t**2))
        x = mean + std * noise.draw(x)
    torch.testing.assert_close(got, x, rtol=1e-9, atol=1e-9)


def test_the_first_noise_of_a_chain_is_not_the_state_it_starts_from():
    """One seed, two streams: x_T and the draws along the way are independent."""
    x = initial_noise(PATH, (4000,), [5]) / PATH.prior_std
    first = Noise([5], (4000,)).draw()
    correlation = float((x * first).mean())
    assert abs(correlation) < 5 / math.sqrt(4000)


def test_only_as_much_history_is_kept_as_the_solver_asks_for():
    seen = []

    class Spy(Update):
        def combine(self, x, prediction, history, noise):
            seen.append(len(history))
            return super().combine(x, prediction, history, noise)

    def spying(name):
        return lambda levels: [Spy(**vars(move)) for move in SOLVERS[name].plan(levels)]

    for name, expected in (("ddim", [0] * 5), ("x0ab3", [3] * 5)):
        seen.clear()
        sample(oracle(), torch.zeros(1, 2).double(), TIMES, solver=Solver("spy", spying(name)))
        assert seen == expected


def test_a_coefficient_of_zero_drops_its_term():
    """0 * inf is not a number: the limit that a solver means is the rest of the sum."""
    x, infinite = torch.ones(3), torch.full((3,), math.inf)
    assert torch.equal(weighted_sum((2.0, x), (0.0, infinite)), 2 * x)
    assert torch.equal(weighted_sum((0.0, infinite), (2.0, x)), 2 * x)
    assert torch.equal(weighted_sum((0.0, infinite)), torch.zeros(3))
    assert torch.equal(x, torch.ones(3))  # and nobody's tensor is written to
