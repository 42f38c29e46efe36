"""Binarized MNIST: what one latent reaches and what a ladder of three, in the same time, in nats.

    python -m benchmarks.latent --data DIR                twenty minutes of training each
    python -m benchmarks.latent --data DIR --minutes 2    less
    python -m benchmarks.latent --runs FOLDER      leaves the runs there; measures those it finds
    python -m benchmarks.latent --json                    one JSON object

The negative bound of all test images (binarized once, the same for both), with the standard error
between images, and what each latent costs; on the first 1,000 of them the bound beside that of 50
importance weights (IWAE). DIR is a folder with train.parquet and test.parquet.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import load
from allegory.likelihood import iwae_bound
from allegory.models import LatentVariableModel
from allegory.process.bound import estimate
from allegory.recipes import RunFolder, execute, recipe_named

RECIPES = ("mnist_vae", "mnist_hierarchy")
DRAWS, WEIGHTS, WEIGHTED, BATCH = 5, 50, 1000, 250


def trained(name: str, data: str, minutes: float, runs: Path) -> RunFolder:
    """The run in the folder, or a new one."""
    if (runs / name).exists():
        return RunFolder.open(runs / name)
    run = recipe_named(name, data)
    return execute(replace(run, training=replace(run.training, minutes=minutes)), runs / name)[0]


def measure(model: LatentVariableModel, test: Tensor) -> dict[str, float | list[float]]:
    """Nats an image."""
    parts = [
        model.bound(raw, seeds=range(BATCH * i, BATCH * i + len(raw)), draws=DRAWS)
        for i, raw in enumerate(test.split(BATCH))
    ]
    total = torch.cat([part.total for part in parts])
    terms = zip(*((*part.divergences, part.prior) for part in parts), strict=True)
    costs = [torch.cat(each).mean().item() for each in terms]
    few = test[:WEIGHTED]
    tight = [
        iwae_bound(model, raw, WEIGHTS, seeds=range(BATCH * i, BATCH * i + len(raw)))
        for i, raw in enumerate(few.split(BATCH))
    ]
    nats = estimate(-total)
    return {
        "nats": nats.mean,
        "error": nats.error,
        "nats of the first": -total[: len(few)].mean().item(),
        f"IWAE of the first, k = {WEIGHTS}": -torch.cat(tight).mean().item(),
        "costs, z_1 first": costs,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One latent against a ladder on binarized MNIST.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, each")
    parser.add_argument(
        "--runs", type=Path, help="folder of the runs; a temporary one if not given"
    )
    arguments = parser.parse_args()
    table, test = {}, None
    with tempfile.TemporaryDirectory() as scratch:
        for name in RECIPES:
            folder = trained(
                name, arguments.data, arguments.minutes, arguments.runs or Path(scratch)
            )
            model = folder.model()
            assert isinstance(model, LatentVariableModel)
            test = load(folder.run.source).test.x if test is None else test
            table[name] = measure(model, test) | {"images": folder.metrics()[-1]["images"]}
            if not arguments.json:
                print(
                    name,
                    *(f"{key}: {value}" for key, value in table[name].items()),
                    sep="\n    ",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
