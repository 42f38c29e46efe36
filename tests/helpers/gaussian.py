"""One Gaussian, on which every probability flow and every plan is known in closed form."""

import itertools
import math
from dataclasses import replace

import torch

from allegory.process import Prediction, as_predict
from allegory.sampling.driver import SamplingLoop

MEAN, STD = torch.tensor([[1.3, -0.4]], dtype=torch.float64), 0.5
"""The data are N(MEAN, STD^2 I)."""


def gaussian(path):
    """The exact Predict, on floats: equal to the Mixture oracle, and faster."""

    def predict(x, t, condition=None):
        level = path.at(t)
        pull = (x - level.alpha * MEAN.to(x)) / spread(level) ** 2
        return Prediction.of(MEAN.to(x) + level.alpha * STD**2 * pull, level.sigma * pull, level)

    return as_predict(predict, path)


def spread(level):
    """The standard deviation of x_t."""
    return math.sqrt((level.alpha * STD) ** 2 + level.sigma**2)


def on_flow(level, z):
    """The exact solution of the probability-flow ODE through z standard deviations."""
    return level.alpha * MEAN + z * spread(level)


def unequal_times(n, start=0.85, end=0.15):
    """Steps of lengths 1, 3, 1, 3, ... so that a wrong ratio of steps shows."""
    lengths = torch.ones(n, dtype=torch.float64)
    lengths[1::2] = 3
    passed = torch.cat([torch.zeros(1, dtype=torch.float64), lengths.cumsum(0)])
    return start + (end - start) * passed / lengths.sum()


def equal_times(n, start=0.85, end=0.15):
    """Steps of one length."""
    return torch.linspace(start, end, n + 1, dtype=torch.float64)


def last_state(solver, predict, levels, states, draw=torch.zeros_like, grad=False):
    """The state at the last Level when those at the Levels before it are set to the given ones.

    At least the first one is given. The driver computes every state, which is replaced before the
    next step. With `grad` it keeps its history as a list of tensors instead of one buffer.
    """
    start, *later = states
    loop = SamplingLoop(predict, start, levels[0], draw=draw)
    for instruction in loop.execute(solver.plan(levels), grad):
        if not instruction.stage and later:
            loop.x = later.pop(0)
    return loop.x


def linear_map(solver, path, levels):
    """What the last state has of the first, its constant, and what it has of each draw.

    On a Gaussian a plan is affine in the first state and in the draws: one item of a batch each.
    """
    plan = solver.plan(levels)
    count = sum(bool(instruction.noise) for instruction in plan)
    probe = torch.zeros(count + 2, 2, dtype=torch.float64)
    probe[1] = 1
    turn = itertools.count(2)

    def draw(like):
        z = torch.zeros_like(like)
        z[next(turn)] = 1
        return z

    ends = last_state(replace(solver, plan=lambda _: plan), gaussian(path), levels, [probe], draw)
    return (ends[1] - ends[0])[0].item(), ends[0], (ends[2:] - ends[0])[:, 0]


def moments(solver, path, levels):
    """Mean and variance of the last state from the exact first one, and the gain; no sampling."""
    gain, shift, noise = linear_map(solver, path, levels)
    mean = gain * levels[0].alpha * MEAN[0] + shift
    return mean, gain**2 * spread(levels[0]) ** 2 + noise.square().sum().item(), gain
