"""Replacement: the law of the measured part at each Level, and the way back of RePaint."""

import pytest
import torch
from tests.helpers.paths import ONE_PER_SCALING, PATHS
from tests.helpers.posteriors import normal

from allegory.inverse import Mask, Matrix, Measurement, Replacement
from allegory.inverse.replacement import ReplaceMeasured, back, repaint
from allegory.process import Mixture
from allegory.process.grid import grid
from allegory.sampling import Noise
from allegory.sampling.loop import SamplingLoop

COUNT = 20_000
DIMS = 4
MATRIX = normal(2, DIMS, seed=1)


def loop_at(path, level, x, seeds=None):
    exact = Mixture(normal(2, DIMS, seed=3), 0.5, path=path)
    noise = Noise(range(len(x)) if seeds is None else seeds, x.shape[1:])
    return SamplingLoop(exact, x, level, None, noise.draw)


@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_the_measured_part_is_the_noised_measurement_with_fresh_noise(path):
    # A x_s ~ N(alpha_s y, sigma_s^2 A A^T), whatever the state was; its errors over COUNT draws are
    # compared with their standard errors.
    path = PATHS[path]
    high, low = path.levels([0.8, 0.4])
    y = torch.tensor([1.5, -2.0], dtype=torch.float64)
    given = Measurement(Matrix(MATRIX), y.expand(COUNT, 2), 0.3)
    loop = loop_at(path, high, 5 + normal(COUNT, DIMS, seed=4))

    seen = []
    for level in (high, low):
        loop.run([ReplaceMeasured(level, given)])
        seen.append(loop.x @ MATRIX.T - level.alpha * y)

        cov = level.sigma**2 * MATRIX @ MATRIX.T
        error = seen[-1].mean(0) / (cov.diagonal() / COUNT).sqrt()
        assert error.abs().max() < 4.5
        spread = torch.outer(cov.diagonal(), cov.diagonal()) + cov.square()
        assert ((torch.cov(seen[-1].T) - cov) / (spread / COUNT).sqrt()).abs().max() < 4.5

    # The noise of one Level says nothing of that of the next.
    old, new = (each[:, 0] / each[:, 0].std() for each in seen)
    assert abs(float((old * new).mean())) < 4.5 / COUNT**0.5


def test_what_is_not_measured_stays():
    path = PATHS["linear-vp"]
    (level,) = path.levels([0.5])
    known = torch.tensor([True, False, True, False])
    x = normal(3, DIMS, seed=2)
    loop = loop_at(path, level, x)
    found = loop.run([ReplaceMeasured(level, Measurement(Mask(known), normal(3, DIMS, seed=5), 0))])
    assert torch.equal(found[:, ~known], x[:, ~known])
    assert (found != x)[:, known].all()


def test_a_noisy_measurement_is_reproduced_with_its_noise():
    path = PATHS["linear-vp"]
    y = normal(3, DIMS, seed=5)
    given = Measurement(Mask(torch.ones(DIMS, dtype=torch.bool)), y, 10.0)
    levels = grid(path, 3).levels
    plan = Replacement().plan(given, levels)
    assert torch.allclose(loop_at(path, levels[0], normal(3, DIMS, seed=2)).run(plan), y)


@pytest.mark.parametrize("path", ONE_PER_SCALING)
def test_the_way_back_is_the_forward_process(path):
    # A state of the law of x_s becomes one of the law of x_t.
    path = PATHS[path]
    t, s = path.levels([0.7, 0.3])
    x0, eps = normal(COUNT, 1, seed=1), normal(COUNT, 1, seed=2)
    update = back(s, t)
    x_t = update.state * s.mix(x0, eps) + update.noise[0] * normal(COUNT, 1, seed=3)

    signal = (x_t * x0).mean() / x0.square().mean()
    left = x_t - t.alpha * x0
    assert abs(float(signal) - t.alpha) < 4.5 * t.sigma / COUNT**0.5
    assert abs(float(left.std()) / t.sigma - 1) < 4.5 / (2 * COUNT) ** 0.5


@pytest.mark.parametrize(("resamplings", "jump"), [(1, 1), (3, 1), (2, 3), (2, 50)])
def test_every_step_is_taken_so_often_and_ends_at_the_same_levels(resamplings, jump):
    path = PATHS["linear-vp"]
    levels = grid(path, 8).levels
    given = Measurement(Matrix(MATRIX), torch.zeros(1, 2, dtype=torch.float64), 0)
    plan = Replacement(resamplings, jump).plan(given, levels)

    reached = [each.to for each in plan if not each.stage]
    assert all(a is b for a, b in zip(reached, levels[1:], strict=True))
    evaluations = sum(getattr(each, "needs_prediction", False) for each in plan)
    assert evaluations == resamplings * 7 + 1


def test_names_and_numbers_that_do_not_fit():
    assert repaint(5.0, "2") == Replacement(5, 2)
    with pytest.raises(ValueError, match="whole number"):
        repaint(2.5)
    with pytest.raises(ValueError, match="resamplings=0"):
        Replacement(0)
    with pytest.raises(ValueError, match="eta"):
        Replacement(eta=2.0)
