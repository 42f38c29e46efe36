"""No loss reads the global random generator: the generator that is given alone decides, for every
objective and model.
"""

import copy

import pytest
import torch

from allegory.data import DataSpec
from allegory.models import (
    VDM,
    ContrastiveConfig,
    ContrastiveEnergy,
    Denoiser,
    Energy,
    LadderConfig,
    VAEConfig,
)
from allegory.networks import Labels, MLPConfig, PotentialConfig
from allegory.objectives import OBJECTIVES, Objective, random_signs, stratified_times
from allegory.process import LearnedSchedule, LinearLogSNR, Path

PICTURES = DataSpec((1, 8, 8), low=0, high=1, levels=2, classes=3)
PLANE = DataSpec((2,), low=-4.0, high=4.0, classes=3)
NAMED = ("elbo", "simple", "min_snr:2", "p2", "edm", "sigmoid", "dual")


def diffusion(objective: str) -> VDM:
    path = Path(LearnedSchedule(6, -5) if objective == "elbo" else LinearLogSNR(6, -5))
    if objective == "dual":
        network = PotentialConfig(8, 1).build((2,), Labels(3))
        return VDM(Energy(network, path, 0.3, "scalar"), PLANE, objective, label_dropout=0.5)
    network = MLPConfig(8, 1).build((2,), Labels(3))
    return VDM(Denoiser(network, path, "v", 0.3), PLANE, objective, label_dropout=0.5)


def contrastive(method: str) -> ContrastiveEnergy:
    network = MLPConfig(8, 1).build((2,), outputs=1)
    return ContrastiveEnergy(network, PLANE, ContrastiveConfig(method, steps=2, chains=32))


MODELS = {
    **{name: lambda name=name: diffusion(name) for name in NAMED},
    **{name: lambda name=name: contrastive(name) for name in ("cd", "pcd", "nce")},
    "vae": lambda: VAEConfig((4,), 16, 1).build(PICTURES),
    "hierarchy": lambda: VAEConfig((4, 4), 16, 1).build(PICTURES),
    "ladder": lambda: LadderConfig(((2, 2), (0, 4)), channels=(4, 4)).build(PICTURES),
}


def perturbed(model: torch.nn.Module) -> torch.nn.Module:
    """The same model with every weight moved: a new network of this library returns 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_depends_on_its_generator_alone(name: str) -> None:
    model = perturbed(MODELS[name]())
    shape = model.spec.shape
    batch = (torch.randint(2, (16, *shape)).to(torch.float32), torch.randint(3, (16,)))
    losses = []
    for global_seed, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        draws = torch.Generator().manual_seed(seed)
        losses.append(copy.deepcopy(model).train().loss(batch, draws).detach())
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])


def test_every_registered_objective_is_tested_here() -> None:
    library = [name for name in OBJECTIVES if "test" not in name]
    assert set(library) == {name.partition(":")[0] for name in NAMED}
    assert all(isinstance(objective, Objective) for objective in OBJECTIVES.values())


def test_times_and_probes_come_from_the_generator() -> None:
    like = torch.zeros(3, 2)
    for draw in (
        lambda generator: stratified_times(4, generator),
        lambda generator: random_signs(2, like, generator),
    ):
        first, again, other = (draw(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)
