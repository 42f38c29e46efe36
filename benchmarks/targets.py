"""What the digits network should predict: the same U-Net and budget, three readings of its output.

    python -m benchmarks.targets                 90 seconds of training each
    python -m benchmarks.targets --seconds 20    less
    python -m benchmarks.targets --json          one JSON object

Test bits/dim with the labels hidden and given, and the images seen. Dropout is 0.1: at this budget
nothing overfits.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from allegory.data import load
from allegory.evaluation import BoundConfig, evaluate_bound
from allegory.recipes import DiffusionConfig, execute, recipe_named
from allegory.recipes.config import CATEGORICAL

READINGS = {
    "edm": ("edm", ()),
    "edm, Fourier features": ("edm", (2, 3)),
    "categorical": (CATEGORICAL, ()),
}


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Train each reading and evaluate it on the test digits."""
    run, test = recipe_named("digits"), load("digits").test
    table = {}
    for name, (target, fourier) in READINGS.items():
        network = replace(run.model.network, dropout=0.1, fourier=fourier)
        model: DiffusionConfig = replace(run.model, network=network, target=target)
        short = replace(run, model=model, training=replace(run.training, minutes=seconds / 60))
        with tempfile.TemporaryDirectory() as folder:
            trained, result = execute(short, Path(folder) / "run")
            vdm = trained.model()
        bits = {
            words: evaluate_bound(vdm, test, BoundConfig(labelled=labelled)).total.mean
            for words, labelled in (("p(x)", False), ("p(x | label)", True))
        }
        table[name] = {**bits, "images": result.images}
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the digits network should predict.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=90.0, help="of training, each")
    arguments = parser.parse_args()
    table = measure(arguments.seconds)
    if arguments.json:
        print(json.dumps(table))
        return
    for name, figures in table.items():
        print(f"{name:<24}" + "  ".join(f"{words} {value:.4g}" for words, value in figures.items()))


if __name__ == "__main__":
    main()
