"""A trained model in few evaluations: how its samples compare with those of 100.

    python -m benchmarks.few_steps [--run RUN]            a table
    python -m benchmarks.few_steps [--run RUN] --json     one JSON object

RUN is a run of the digits recipe; without one it is trained for 2.4 minutes. For `auto`, `dpmpp2m`
and a tuned sampler: the Fréchet distance of 2,000 samples (labels in turn, unguided) to the 1,797
real digits, the share that shows its label to a judge of real digits, and the median distance to
the same seeds after 100 steps of `auto`.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import load
from allegory.evaluation.distances import frechet
from allegory.evaluation.label_accuracy import LabelClassifier
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler, TunedSampler, TuningConfig, initial_noise, tune

COUNT, EVALUATIONS, FINE, OTHER_SEEDS = 2000, (5, 6, 8, 10, 15, 20), 100, 10**6


def trained(run: str | None) -> RunFolder:
    """The run of this folder, or a new one."""
    if run is not None:
        return RunFolder.open(Path(run))
    folder, _ = execute(recipe_named("digits"), Path(tempfile.mkdtemp()) / "digits")
    return folder


def fitted(model: VDM, evaluations: int) -> TunedSampler:
    """The sampler that `allegory tune` makes by default."""
    config = TuningConfig(evaluations, iterations=300, batch=16, held_out=64, seed=OTHER_SEEDS)
    seeds = range(OTHER_SEEDS, OTHER_SEEDS + 256 + 64)
    x_T = initial_noise(model.denoiser.path, model.spec.shape, seeds)
    labels = torch.arange(len(seeds)) % 10
    return tune(model.denoiser, x_T, config, condition=labels)


def measure(folder: RunFolder) -> dict[str, dict[str, float]]:
    """The figures of each sampler and number of evaluations."""
    model, dataset = folder.model(), load(folder.run.source)
    assert isinstance(model, VDM)
    model.requires_grad_(False)
    real = torch.cat([dataset.train.x, dataset.validation.x, dataset.test.x])
    judge, labels = LabelClassifier.fit(dataset.train, dataset.spec), torch.arange(COUNT) % 10

    def samples(solver: str | TunedSampler, steps: int) -> Tensor:
        return model.sample(range(COUNT), labels, Sampler(solver, steps))

    def figures(raw: Tensor) -> dict[str, float]:
        near = (
            (_unit(raw, model) - _unit(fine, model))
            .square()
            .flatten(1)
            .mean(1)
            .sqrt()
            .median()
            .item()
        )
        distance = frechet(_unit(raw, model), _unit(real, model))
        return {
            "Frechet": distance,
            "accuracy": judge.accuracy(raw, labels),
            "distance to 100": near,
        }

    fine = samples("auto", FINE)
    found = {f"auto {FINE}": figures(fine)}
    for evaluations in EVALUATIONS:
        found[f"dpmpp2m {evaluations}"] = figures(samples("dpmpp2m", evaluations))
        found[f"auto {evaluations}"] = figures(samples("auto", evaluations))
        found[f"tuned {evaluations}"] = figures(samples(fitted(model, evaluations), evaluations))
    return found


def _unit(raw: Tensor, model: VDM) -> Tensor:
    return model.spec.encode(raw)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A trained model in few evaluations.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", help="a run of the digits recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(trained(arguments.run))
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{'':14s}" + "".join(f"{column:>18s}" for column in next(iter(found.values()))))
    for name, row in found.items():
        print(f"{name:14s}" + "".join(f"{value:18.4f}" for value in row.values()))


if __name__ == "__main__":
    main()
