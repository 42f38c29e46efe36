"""No loss reads the global random generator: the generator that is given alone decides, for every
objective and model; and an item has the same noise in any number of processes.
"""

import copy

import pytest
import torch

from allegory.conditions import Labels
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
from allegory.networks import DiTConfig, EncoderConfig, MLPConfig, PotentialConfig, UNetConfig
from allegory.numerics.dropout import dropout_drawn_from
from allegory.numerics.generators import BatchGenerator
from allegory.objectives import OBJECTIVES, Objective, random_signs, stratified_times
from allegory.process import LearnedSchedule, LinearLogSNR, Path
from allegory.recipes import ClassifierConfig

PICTURES = DataSpec((1, 8, 8), low=0, high=1, levels=2, classes=3)
PLANE = DataSpec((2,), low=-4.0, high=4.0, classes=3)
NAMED = ("elbo", "simple", "min_snr:2", "p2", "edm", "sigmoid", "dual", "hybrid")


def diffusion(objective: str) -> VDM:
    path = Path(LearnedSchedule(6, -5) if objective == "elbo" else LinearLogSNR(6, -5))
    if objective == "dual":
        network = PotentialConfig(8, 1).build((2,), Labels(3))
        return VDM(Energy(network, path, 0.3, "scalar"), PLANE, objective, condition_dropout=0.5)
    target, outputs = ("v+variance", 4) if objective == "hybrid" else ("v", 2)
    network = MLPConfig(8, 1).build((2,), Labels(3), outputs=outputs)
    return VDM(Denoiser(network, path, target, 0.3), PLANE, objective, condition_dropout=0.5)


def contrastive(method: str) -> ContrastiveEnergy:
    network = MLPConfig(8, 1).build((2,), outputs=1)
    return ContrastiveEnergy(network, PLANE, ContrastiveConfig(method, steps=2, chains=32))


def pictured(config: UNetConfig | DiTConfig) -> VDM:
    """A diffusion model of pictures with this network, which has dropout."""
    network = config.build((1, 8, 8), Labels(3))
    return VDM(Denoiser(network, Path(LinearLogSNR(6, -5)), "v", 0.5), PICTURES)


MODELS = {
    **{name: lambda name=name: diffusion(name) for name in NAMED},
    **{name: lambda name=name: contrastive(name) for name in ("cd", "pcd", "nce")},
    "classifier": lambda: ClassifierConfig(MLPConfig(8, 1), data_std=0.5).build(PICTURES),
    "vae": lambda: VAEConfig((4,), 16, 1).build(PICTURES),
    "hierarchy": lambda: VAEConfig((4, 4), 16, 1).build(PICTURES),
    "ladder": lambda: LadderConfig(((2, 2), (0, 4)), channels=(4, 4)).build(PICTURES),
}
WITH_DROPOUT = {
    "unet": lambda: pictured(UNetConfig(8, (1, 1), 1, dropout=0.3)),
    "encoder": lambda: ClassifierConfig(
        EncoderConfig(8, (1, 1), 1, dropout=0.3), data_std=0.5
    ).build(PICTURES),
    "dit": lambda: pictured(DiTConfig(2, 8, 1, 1, dropout=0.3)),
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


def loss_of(model: torch.nn.Module, batch: tuple, seed: int, rank: int, world: int) -> torch.Tensor:
    """The losses of a process, with their gradients in the model."""
    draws, masks = (BatchGenerator(torch.device("cpu"), seed, rank, world) for _ in range(2))
    part = slice(rank * 16 // world, (rank + 1) * 16 // world)
    with dropout_drawn_from(model, masks):
        losses = model.loss(tuple(each[part] for each in batch), draws)
    (losses.mean() / world).backward()
    return losses.detach()


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("name", [*MODELS, *WITH_DROPOUT])
def test_an_item_has_the_same_noise_in_any_number_of_processes(
    name: str, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "allegory.objectives.contrastive.gather_rows",
        lambda rows, generator: torch.cat([rows] * getattr(generator, "world", 1)),
    )
    torch.manual_seed(3)
    alone = perturbed((MODELS | WITH_DROPOUT)[name]()).train()
    batch = (torch.randint(2, (16, *alone.spec.shape)).float(), torch.randint(3, (16,)))
    several = [copy.deepcopy(alone) for _ in range(world)]

    # A plain generator, and torch's own for the masks, are what one process has.
    torch.manual_seed(5)
    whole = copy.deepcopy(alone).loss(batch, torch.Generator().manual_seed(5)).detach()
    assert torch.equal(loss_of(alone, batch, 5, 0, 1), whole)

    parts = [loss_of(model, batch, 5, rank, world) for rank, model in enumerate(several)]
    if name == "elbo":  # the reconstruction of the first eight items is shared out
        torch.testing.assert_close(torch.cat(parts).mean(), whole.mean())
    else:
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)
    for one, *others in zip(*(model.parameters() for model in (alone, *several)), strict=True):
        if one.grad is not None:
            gradient = torch.stack([other.grad for other in others]).sum(0)
            torch.testing.assert_close(gradient, one.grad, rtol=1e-4, atol=1e-5)


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
