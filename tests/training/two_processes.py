"""Run by `test_distributed.py` in each of two processes: their weights go into files."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.training.toy import Numbers, Smooth, Toy
from torch import nn

from allegory.training import Interrupted, TrainingConfig, train
from allegory.training.distributed import Processes

CONFIG = TrainingConfig(steps=12, learning_rate=0.01, warmup=2, log_every=5)


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
