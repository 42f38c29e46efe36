"""Run by `test_distributed.py` in each of two processes: their weights go into files."""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.training.toy import Numbers, Smooth, Toy
from torch import nn

from allegory.data import DataSpec, Items
from allegory.data.batches import Batches
from allegory.distillation.self_distillation import SelfDistillation
from allegory.models import ContrastiveConfig, ContrastiveEnergy
from allegory.models.few_step import FlowMapModel
from allegory.models.flow_map import FlowMapDenoiser
from allegory.networks import MLPConfig
from allegory.process import Path as ForwardProcess
from allegory.sampling import Sampler
from allegory.training import Interrupted, TrainingConfig, train
from allegory.training.distributed import Processes

CONFIG = TrainingConfig(steps=12, learning_rate=0.01, warmup=2, log_every=5)


def energy() -> ContrastiveEnergy:
    """An energy whose chains continue over the steps of training, in all processes the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MLPConfig(8, 1).build((2,), outputs=1)
        spec = DataSpec((2,), low=-4.0, high=4.0)
        return ContrastiveEnergy(network, spec, ContrastiveConfig("pcd", steps=2, chains=32))


def flow_map() -> FlowMapModel:
    """A flow map that learns from itself, by a derivative in the level to reach."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spec = DataSpec((2,), low=-4.0, high=4.0)
        network = MLPConfig(8, 1).build((2,))
        denoiser = FlowMapDenoiser(network, ForwardProcess.vdm(6, -5))
        objective = SelfDistillation(identity="lagrangian")
        return FlowMapModel(denoiser, spec, objective, Sampler("flow_map", 2))


def points(rank: int = 0, world: int = 1) -> Batches:
    """Batches of 16 points, shared by so many processes."""
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    return Batches(Items(x), 16, 0, process=(rank, world))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    processes = Processes()
    rank, world = processes.rank, processes.world

    def keep(name: str, module: nn.Module) -> None:
        weights = {key: value.clone() for key, value in module.state_dict().items()}
        save_file(weights, folder / f"{name}-{rank}.safetensors")

    for accumulate in (1, 2):
        model = Smooth()
        config = TrainingConfig(**{**vars(CONFIG), "accumulate": accumulate})
        result = train(model, Numbers(8, rank, world), config, folder / f"smooth{accumulate}")
        assert (result.step, result.images) == (12, 96 * accumulate), result
        keep(f"smooth{accumulate}", model)

    x = torch.ones(4, 4)  # against the training data, so that the first step is the best
    config = TrainingConfig(**{**vars(CONFIG), "validation_every": 1})
    result = train(Smooth(), Numbers(8, rank, world), config, validation=(x, -x.sum(1)))
    assert result.validation is not None and result.validation.best_step < result.step
    keep("best", result.best)

    model = energy()
    train(model, points(rank, world), CONFIG)
    keep("energy", model)

    model = flow_map()
    train(model, points(rank, world), CONFIG)
    keep("flow_map", model)

    keep("toy", train(Toy(), Numbers(16, rank, world), CONFIG, folder / "toy").ema)
    try:  # the signal reaches one process only; both must stop at the same step
        train(
            Toy(),
            Numbers(16, rank, world, interrupt_at=5 if rank else None),
            CONFIG,
            folder / "halves",
        )
        raise AssertionError("not interrupted")
    except Interrupted as error:
        assert "step 5" in str(error)
    processes.sum(0.0)  # the first process has written its checkpoint
    keep(
        "halves", train(Toy(), Numbers(16, rank, world), CONFIG, folder / "halves", resume=True).ema
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # as the command line does: threads of gloo may abort an interpreter that ends
