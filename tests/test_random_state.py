"""Samplers, bounds, likelihoods and losses are functions of their arguments: seeds or a generator.

Each is called twice, with the global random states of torch and numpy set differently. It has to
give the same numbers to the last bit, and to leave those states as they were.
"""

import numpy as np
import pytest
import torch

from allegory import Mixture
from allegory.data import DataSpec
from allegory.likelihood import (
    DequantizedFlow,
    FlowSolver,
    flow_bound,
    flow_log_prob,
    variational_bound,
)
from allegory.likelihood.decoder import Continuous
from allegory.models import VDM, Denoiser, Energy, LadderConfig, VAEConfig
from allegory.models.contrastive import ContrastiveConfig, ContrastiveEnergy
from allegory.networks import MLPConfig
from allegory.objectives import (
    OBJECTIVES,
    normal_like,
    random_signs,
    stratified_times,
    uniform_in_log_snr,
)
from allegory.process import LinearLogSNR, Path, grid
from allegory.sampling import (
    SOLVERS,
    AdaptiveSolver,
    Sampler,
    TuningConfig,
    adaptive,
    initial_noise,
    invert,
    picard,
    sample,
    tune,
)

SEEDS = range(4)
PATH = Path(LinearLogSNR(8, -7))
SPEC = DataSpec((2,), 0.0, 4.0, 5)
PICTURE = DataSpec((1, 8, 8), 0.0, 1.0, 2)
ORACLE = Mixture(torch.tensor([[0.5, 0.2], [-0.6, 0.1]]), 0.3, path=PATH)
X_T, X0 = initial_noise(PATH, (2,), SEEDS), ORACLE.sample(SEEDS)
GRID, BACK = grid(PATH, 4, "log_snr"), grid(PATH, 4, "log_snr", "min")
RAW = torch.tensor([[0, 4], [3, 1], [2, 2], [1, 0]], dtype=torch.uint8)
PICTURES = torch.arange(4 * 64).reshape(4, 1, 8, 8).remainder(3).clamp(max=1).to(torch.uint8)
PAIRS = ("ddim+langevin", "ddim+mala", "ddim+hmc:0.4", "ddim+langevin_batch")


def numbers(found):
    """A result's numbers: a tensor, or the tensors of an object or a sequence."""
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, (tuple, list)):
        return [tensor for part in found for tensor in numbers(part)]
    return numbers(list(vars(found).values())) if hasattr(found, "__dict__") else []


def under_global_state(seed, call):
    """The numbers of a call after the global states are seeded; it leaves them as they are."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()

    found = numbers(call())

    assert torch.equal(states[0], torch.get_rng_state()), "torch's global state has moved"
    assert (states[1] == np.random.get_state()[1]).all(), "numpy's global state has moved"
    return found


def check(call):
    first, second = (under_global_state(seed, call) for seed in (1, 2))
    assert first and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "solver", [*(name for name in SOLVERS if name not in ("ddpm_learned", "flow_map")), *PAIRS]
)
def test_a_solver_draws_from_its_seeds_alone(solver):
    check(lambda: sample(ORACLE, X_T, GRID, solver=solver, seeds=SEEDS))


SAMPLERS = {
    "sampler": lambda: Sampler("ddpm", 3).sample(ORACLE, (2,), seeds=SEEDS),
    "invert": lambda: invert(ORACLE, X0, BACK, solver="heun"),
    "picard": lambda: picard(ORACLE, X_T, GRID, solver="ddim").x,
    "adaptive": lambda: adaptive(ORACLE, X_T, AdaptiveSolver(1e-2)).x,
    "tune": lambda: tune(ORACLE, X_T, TuningConfig(3, 3, 2, 2, 2)).grid.times,
    "mixture": lambda: ORACLE.sample(SEEDS, 0.5),
    "bound": lambda: variational_bound(ORACLE, X0, Continuous(), seeds=SEEDS, draws=2),
    "probes": lambda: flow_log_prob(ORACLE, X0, FlowSolver(1e-2, probes=1), seeds=SEEDS),
    "flow bound": lambda: flow_bound(
        ORACLE, RAW, DequantizedFlow(SPEC, FlowSolver(1e-2), draws=2), seeds=SEEDS
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_and_likelihoods_draw_from_their_seeds_alone(name):
    check(SAMPLERS[name])


def diffusion(objective="elbo", energy=False):
    outputs = 2 * SPEC.shape[0]
    if objective == "hybrid":
        network = MLPConfig(8, 1).build(SPEC.shape, None, outputs=outputs)
        return VDM(Denoiser(network, PATH, "v+variance"), SPEC, objective)
    network = MLPConfig(8, 1).build(SPEC.shape, None)
    return VDM((Energy if energy else Denoiser)(network, PATH), SPEC, objective)


class Quadratic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, log_snr=None, condition=None):
        return self.a * x.square().sum(1) / 2


PLANE = DataSpec((2,), -4.0, 4.0)
POINTS = torch.linspace(-1, 1, 8).reshape(4, 2)
MODELS = {
    **{name: (lambda name=name: diffusion(name, name == "dual"), RAW) for name in OBJECTIVES},
    "vae": (lambda: VAEConfig((2,), 8, 1).build(PICTURE), PICTURES),
    "chain": (lambda: VAEConfig((3, 2), 8, 1).build(PICTURE), PICTURES),
    "ladder": (
        lambda: LadderConfig(((2, 1), (4, 2)), channels=(4, 4)).build(PICTURE), PICTURES,
    ),
    "nce": (lambda: ContrastiveEnergy(Quadratic(), PLANE), POINTS),
    "cd": (lambda: ContrastiveEnergy(Quadratic(), PLANE, ContrastiveConfig("cd", steps=2)), POINTS),
}  # fmt: skip
"""A model, and raw data for it."""


@pytest.mark.parametrize("name", MODELS)
def test_a_loss_draws_from_its_generator_alone(name):
    build, raw = MODELS[name]
    model = build()
    check(lambda: model.loss((raw, None), torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["elbo", "vae", "ladder", "nce"])
def test_samples_of_a_model_belong_to_their_seeds(name):
    model = MODELS[name][0]().eval()
    check(lambda: model.sample(SEEDS))


@pytest.mark.parametrize("name", ["elbo", "vae", "chain", "ladder"])
def test_the_bound_of_a_model_belongs_to_its_seeds(name):
    build, raw = MODELS[name]
    model = build().eval()
    check(lambda: model.bound(raw, seeds=SEEDS, draws=2))


@pytest.mark.parametrize(
    "draw",
    [
        lambda generator: normal_like(X0, generator),
        lambda generator: random_signs(2, X0, generator),
        lambda generator: stratified_times(4, generator),
        lambda generator: uniform_in_log_snr(PATH, 4, generator),
    ],
)
def test_draws_of_a_loss_come_from_the_generator(draw):
    check(lambda: draw(torch.Generator().manual_seed(0)))
