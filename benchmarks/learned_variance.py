"""The bound of T steps with each variance of the reverse step, on held-out digits.

    python -m benchmarks learned_variance              trains the recipe digits_variance first
    python -m benchmarks.learned_variance --run RUN    of a run with a learned variance

Bits/dim of p(x) on the test items, all T steps of each item, with the same noise for each variance;
the difference from the learned one is paired, with its standard error over the items. With
--validation the items are those that choices were made on.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from allegory.data import Items
from allegory.likelihood import variational_bound
from allegory.models import VDM
from allegory.process import estimate
from allegory.recipes import Destination, RunFolder, execute, recipe_named

STEPS = (25, 50, 100, 200)
VARIANCES = ("posterior", "large", "learned")
NAMES = {"posterior": "small", "large": "large", "learned": "learned"}
Row = dict[str, float]


def bits(model: VDM, items: Items, steps: int, variance: str) -> torch.Tensor:
    """Bits/dim of each item, by all of the steps."""
    x0 = model.spec.encode(items.x)
    bound = variational_bound(
        model.denoiser, x0, model.decoder, draws=steps, steps=steps, variance=variance
    )
    return bound.bits_per_dim(model.spec).double()


def rows(model: VDM, items: Items) -> dict[int, Row]:
    """For each T the means, and the paired differences from the learned variance."""
    found: dict[int, Row] = {}
    for steps in STEPS:
        each = {name: bits(model, items, steps, name) for name in VARIANCES}
        row = {NAMES[name]: values.mean().item() for name, values in each.items()}
        for name in VARIANCES[:2]:
            gain = estimate(each[name] - each["learned"])
            row |= {f"{NAMES[name]} - learned": gain.mean, f"{NAMES[name]} error": gain.error}
        found[steps] = row
    return found


def trained(steps: int | None, folder: Path) -> RunFolder:
    """The recipe digits_variance, for so many steps of training or its own."""
    run = recipe_named("digits_variance")
    if steps is not None:
        run = replace(run, training=replace(run.training, steps=steps, minutes=None))
    return execute(run, Destination(folder))[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Bounds with each variance of the step.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", type=Path, help="a run folder; trained if it is not given")
    parser.add_argument("--steps", type=int, help="steps of training, if it is trained")
    parser.add_argument("--validation", action="store_true", help="items for choices")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as new:
        folder = arguments.run or trained(arguments.steps, Path(new) / "run").path
        run = RunFolder.open(folder)
        model, dataset = run.model().eval(), run.dataset()
        items = dataset.validation if arguments.validation else dataset.test
        found = rows(model, items)

    if arguments.json:
        print(json.dumps({str(steps): row for steps, row in found.items()}, indent=1))
        return
    print(f"{'T':>4s}{'small':>9s}{'large':>9s}{'learned':>9s}   small - learned  large - learned")
    for steps, row in found.items():
        means = "".join(f"{row[name]:9.4f}" for name in NAMES.values())
        gains = [
            f"{row[f'{name} - learned']:8.4f} ± {row[f'{name} error']:.4f}"
            for name in ("small", "large")
        ]
        print(f"{steps:4d}{means}   {'  '.join(gains)}")


if __name__ == "__main__":
    main()
