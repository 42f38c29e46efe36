"""What the MNIST network should predict and how it should learn, at equal time.

Each choice of the recipe changed alone.

    python -m benchmarks.mnist --data DIR                two minutes of training each
    python -m benchmarks.mnist --data DIR --seconds 30   less
    python -m benchmarks.mnist --json                    one JSON object

Bits/dim of the first 500 test images with the labels hidden, standard error 0.01 between images but
the same images, times and noise for each, and the images seen. DIR is a folder with train.parquet
and test.parquet.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from allegory.data import Dataset, load
from allegory.evaluation import BoundConfig, evaluate_bound
from allegory.recipes import execute, recipe_named
from allegory.recipes.config import Run

COUNT, DRAWS = 500, 8


def choices(run: Run) -> dict[str, Run]:
    """The recipe, and the recipe with one choice changed."""
    model, network, training = run.model, run.model.network, run.training
    edm = replace(model, target="edm", network=replace(network, head=3))
    return {
        "mnist": run,
        "edm row": replace(run, model=edm),
        "no Fourier features": replace(
            run, model=replace(model, network=replace(network, fourier=()))
        ),
        "AdamW": replace(run, training=replace(training, optimizer="adamw", learning_rate=2e-3)),
        "batch of 128": replace(run, training=replace(training, batch_size=128)),
        "float32": replace(run, training=replace(training, precision="fp32")),
        "labels never shown": replace(run, model=replace(model, condition_dropout=1.0)),
        "learned schedule": replace(
            run, model=replace(model, path=replace(model.path, schedule="learned"))
        ),
    }


def measure(run: Run, dataset: Dataset) -> dict[str, float]:
    """Train, and evaluate on the first test images."""
    with tempfile.TemporaryDirectory() as folder:
        trained, result = execute(run, Path(folder) / "run")
        vdm = trained.model()
    test = dataset.test.take(torch.arange(COUNT))
    bits = evaluate_bound(vdm, test, BoundConfig(draws=DRAWS)).total.mean
    return {"bits_per_dim": bits, "images": result.images}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="What the MNIST network should predict and how it should learn."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data", default="hub:ylecun/mnist", help="where MNIST is")
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each")
    arguments = parser.parse_args()
    run, dataset = recipe_named("mnist", arguments.data), load(arguments.data)
    run = replace(run, training=replace(run.training, minutes=arguments.seconds / 60))
    table = {}
    for name, choice in choices(run).items():
        table[name] = measure(choice, dataset)
        if not arguments.json:
            print(
                f"{name:<28}{table[name]['bits_per_dim']:.4f} bits/dim  "
                f"{table[name]['images']:,} images",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
