"""Instructions from outside the package run in a plan: re-noising, a projection, and a
resampling of particles.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from tests.helpers.gaussian import MEAN, STD, gaussian
from tests.helpers.paths import PATHS

from allegory import grid, initial_noise, sample, trajectory
from allegory.process import Level, as_predict, transition
from allegory.process.instruction import Instruction
from allegory.sampling import SOLVERS, Correction, Langevin, Sampler, Solver, picard

PATH = PATHS["linear-vp"]
MASK = torch.tensor([True, False])
KNOWN = torch.tensor([0.7, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class Renoise:
    """Back to a noisier Level by the forward process (RePaint: Lugmayr et al. 2022)."""

    to: Level
    stage: bool = True

    def apply(self, loop):
        return transition(loop.x, loop.level, self.to).draw(loop.draw(loop.x))


@dataclass(frozen=True)
class Replace:
    """The known part of x0, noised to the Level at which the state is (Song et al. 2021,
    imputation).
    """

    to: Level
    stage: bool = False

    def apply(self, loop):
        known = self.to.alpha * KNOWN + self.to.sigma * loop.draw(loop.x)
        return torch.where(MASK, known, loop.x)


@dataclass(frozen=True)
class Resample:
    """Items redrawn in proportion to a weight of their predicted x0: one step of a particle
    filter.
    """

    to: Level
    stage: bool = False

    def apply(self, loop):
        log_weight = -(loop.prediction().x0[:, 0] - 2.0).square() / 2
        fraction = log_weight.softmax(0).cumsum(0)
        u = torch.special.ndtr(loop.draw(loop.x[:, :1]))[:, 0].double()
        return loop.x[torch.searchsorted(fraction, u).clamp(max=len(u) - 1)]


def with_instructions(base, make):
    """A solver whose every step is followed by instructions."""

    def plan(levels):
        instructions = []
        for here, to in pairwise(levels):
            instructions += [*base.plan([here, to]), *make(here, to)]
        return instructions

    return Solver("mine", plan, stochastic=True)


@pytest.mark.parametrize("kind", [Renoise, Replace, Resample, Correction])
def test_the_protocol(kind):
    (level,) = PATH.levels([0.5])
    instruction = kind(level, Langevin(0.1)) if kind is Correction else kind(level)
    assert isinstance(instruction, Instruction)


def test_renoising_leaves_the_marginals_as_they_are():
    """Up by q(x_t | x_s) and down again by DDPM: the end is the data, to the error of DDPM's
    steps.
    """
    ddpm, x_T = SOLVERS["ddpm"], initial_noise(PATH, (2,), range(4000)).double()

    def again(here, to):
        if to.sigma == 0.0:
            return []
        return [Renoise(here), *ddpm.plan([here, to])]

    def plan(levels):
        instructions = []
        for here, to in pairwise(levels):
            first = ddpm.plan([here, to])
            rest = again(here, to)
            instructions += [Staged(step) for step in first] if rest else first
            instructions += rest
        return instructions

    walk = grid(PATH, 60, "log_snr")
    states = list(
        trajectory(
            gaussian(PATH),
            x_T,
            walk,
            solver=Solver("mine", plan, stochastic=True),
            seeds=range(4000),
        )
    )
    assert [state.level for state in states] == list(walk.levels[1:])
    x0 = states[-1].x
    assert ((x0.mean(0) - MEAN[0]).abs() < 4 * STD / math.sqrt(4000) + 0.01).all()
    assert ((x0.std(0) / STD - 1).abs() < 4 / math.sqrt(2 * 4000) + 0.03).all()


@dataclass(frozen=True)
class Staged:
    """An instruction whose state is no state of the trajectory."""

    of: Instruction
    stage: bool = True

    @property
    def to(self):
        return self.of.to

    @property
    def noise_length(self):
        return self.of.noise_length

    def apply(self, loop):
        return self.of.apply(loop)


def test_a_projection_keeps_what_is_known_and_the_rest_is_sampled():
    base = SOLVERS["ddim"]

    def plan(levels):
        instructions = []
        for here, to in pairwise(levels):
            instructions += [Staged(step) for step in base.plan([here, to])]
            instructions.append(Replace(to))
        return instructions

    x_T = initial_noise(PATH, (2,), range(2000)).double()
    solver = Solver("mine", plan, stochastic=True)
    x0 = sample(gaussian(PATH), x_T, grid(PATH, 50), solver=solver, seeds=range(2000))
    assert torch.equal(x0[:, 0], KNOWN[:1].expand(2000))
    assert abs(x0[:, 1].mean() - MEAN[0, 1]) < 4 * STD / math.sqrt(2000) + 0.01
    assert abs(x0[:, 1].std() / STD - 1) < 4 / math.sqrt(4000) + 0.03


def test_resampling_of_particles_draws_the_tilted_density():
    """Once, at t = 0: x0 ~ N(m, s^2) by weights exp(-(x0 - 2)^2/2), a Gaussian whose mean and
    variance are known.
    """
    walk, n = grid(PATH, 60, end="min"), 20_000

    def plan(levels):
        return [
            *SOLVERS["heun"].plan(levels)[:-1],
            Staged(SOLVERS["heun"].plan(levels)[-1]),
            Resample(levels[-1]),
        ]

    x_T = initial_noise(PATH, (2,), range(n)).double()
    solver = Solver("mine", plan, stochastic=True)
    x = (
        sample(gaussian(PATH), x_T, walk, solver=solver, seeds=range(n))[:, 0]
        / walk.levels[-1].alpha
    )
    precision = 1 / STD**2 + 1
    mean = (MEAN[0, 0].item() / STD**2 + 2.0) / precision
    effective = n / 3  # resampled items share ancestors, and the weights are uneven
    assert abs(x.mean() - mean) < 4 / math.sqrt(precision * effective) + 0.01
    assert abs(x.std() * math.sqrt(precision) - 1) < 4 / math.sqrt(2 * effective) + 0.02


def test_a_prediction_is_evaluated_once_per_state():
    calls = []

    def counted(x, t, condition):
        calls.append(t)
        return gaussian(PATH)(x, t)

    def plan(levels):
        return [Resample(levels[0], stage=True), *SOLVERS["ddim"].plan(levels)]

    @dataclass(frozen=True)
    class Twice:
        to: Level
        stage: bool = True

        def apply(self, loop):
            assert loop.prediction() is loop.prediction()
            return loop.x

    def planned(levels):
        return [Twice(levels[0]), *SOLVERS["ddim"].plan(levels)]

    x_T = initial_noise(PATH, (2,), range(3)).double()
    walk = grid(PATH, 4)
    for planner, expected in ((plan, 5), (planned, 5)):
        calls.clear()
        solver = Solver("mine", planner, stochastic=True)
        sample(as_predict(counted, PATH), x_T, walk, solver=solver, seeds=range(3))
        assert len(calls) == expected


def test_history_and_noise_are_as_long_as_an_instruction_says():
    @dataclass(frozen=True)
    class Reader:
        to: Level
        stage: bool = True
        history_length: int = 2
        noise_length: int = 3

        def apply(self, loop):
            assert len(loop.history) == 2 and loop.noise.maxlen == 3
            loop.history.store(loop.prediction(), 1.0, 0.0)
            loop.noise.append(loop.draw(loop.x))
            return loop.history.weighted_sum((1.0,), [(0.0, loop.x)])

    def plan(levels):
        return [*(Reader(levels[0]) for _ in range(4)), *SOLVERS["ddim"].plan(levels)]

    x_T = initial_noise(PATH, (2,), range(3)).double()
    out = sample(
        gaussian(PATH),
        x_T,
        grid(PATH, 4),
        solver=Solver("mine", plan, stochastic=True),
        seeds=range(3),
    )
    assert out.isfinite().all()


def test_picard_refuses_instructions_without_numbers():
    def plan(levels):
        return [Renoise(levels[0]), *SOLVERS["ddim"].plan(levels)]

    x_T = initial_noise(PATH, (2,), range(3)).double()
    with pytest.raises(ValueError, match="plan holds a Renoise, which is not a linear update"):
        picard(gaussian(PATH), x_T, grid(PATH, 4), solver=Solver("mine", plan))


def test_a_sampler_takes_a_solver_from_outside():
    solver = with_instructions(SOLVERS["ddim"], lambda here, to: [])
    x_T = initial_noise(PATH, (2,), range(3)).double()
    expected = Sampler("ddim", 5).sample(gaussian(PATH), x_T)
    assert torch.equal(Sampler(solver, 5).sample(gaussian(PATH), x_T, seeds=range(3)), expected)


@dataclass(frozen=True)
class Faulty:
    """An instruction that calls the network, and returns what a test says."""

    to: Level
    returned: object
    stage: bool = False

    def apply(self, loop):
        loop.prediction()
        return self.returned(loop.x)


@dataclass(frozen=True)
class Blind:
    """An instruction that never calls the network."""

    to: Level
    stage: bool = False

    def apply(self, loop):
        return loop.x


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (lambda levels: [Faulty(to, lambda x: x[:1]) for to in levels[1:]], r"returned \(1, 2\)"),
        (lambda levels: [Blind(to) for to in levels[1:]], "makes no prediction"),
        (lambda levels: [], "no instructions"),
    ],
)
def test_a_faulty_plan_is_refused_with_a_remedy(plan, says):
    path = PATHS["cosine-vp"]
    predict = as_predict(lambda x, t, c: torch.zeros_like(x), path, "x0")
    with pytest.raises(ValueError, match=says):
        sample(predict, torch.ones(3, 2), grid(path, steps=2), solver=Solver("faulty", plan, 1))
