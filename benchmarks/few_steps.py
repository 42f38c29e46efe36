"""A trained model in few evaluations: how its samples compare with those of 100.

    python -m benchmarks.few_steps                        a table of the digits recipe
    python -m benchmarks.few_steps --run RUN              of any run of a diffusion model
    python -m benchmarks.few_steps --run RUN --json       one JSON object

Without a run one of the digits recipe is trained for 2.4 minutes. For each solver: the Frechet
distance of the samples (labels in turn where the run has labels, unguided) to the real items in
model space, over that of 100 steps of `auto` from the same seeds, and the median distance of an
item to that of those 100 steps. `auto:pilot` and `tuned` are made from items of other seeds.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from allegory.conditions import Labels
from allegory.data import load
from allegory.evaluation.distances import frechet
from allegory.models import VDM
from allegory.recipes import RunFolder, execute, recipe_named
from allegory.sampling import Sampler, TunedSampler, TuningConfig, initial_noise, pilot, tune

FINE, OTHER_SEEDS = 100, 10**6
SOLVERS = ("auto", "auto:pilot", "tuned", "dpmpp2m", "unipc3", "auto:sde", "sde_dpmpp2m", "ddpm")


def trained(run: str | None) -> RunFolder:
    """The run of this folder, or a new one."""
    if run is not None:
        return RunFolder.open(Path(run))
    folder, _ = execute(recipe_named("digits"), Path(tempfile.mkdtemp()) / "digits")
    return folder


def noise(model: VDM, count: int) -> tuple[Tensor, Tensor | None]:
    """Initial noise of other seeds, and labels in turn."""
    seeds = range(OTHER_SEEDS, OTHER_SEEDS + count)
    return initial_noise(model.denoiser.path, model.spec.shape, seeds), labels_of(model, count)


def labels_of(model: VDM, count: int) -> Tensor | None:
    """Labels in turn; None for a run without."""
    given = model.spec.given
    return torch.arange(count) % given.classes if isinstance(given, Labels) else None


def fitted(model: VDM, evaluations: int) -> TunedSampler:
    """The sampler that `allegory tune` makes by default."""
    x_T, labels = noise(model, 256 + 64)
    config = TuningConfig(evaluations, iterations=300, batch=16, held_out=64, seed=OTHER_SEEDS)
    return tune(model.denoiser, x_T, config, condition=labels)


def sampler(model: VDM, name: str, steps: int) -> Sampler:
    """The sampler of a name for so many evaluations."""
    made: str | TunedSampler = name
    if name == "auto:pilot":
        x_T, labels = noise(model, 8)
        made = pilot(model.denoiser, x_T, steps, condition=labels)
    if name == "tuned":
        made = fitted(model, steps)
    return Sampler(made, steps)


def measure(
    folder: RunFolder, solvers: list[str], evaluations: list[int], count: int
) -> dict[str, dict[str, float]]:
    """The figures of each solver and number of evaluations."""
    model, dataset = folder.model().eval(), load(folder.run.source)
    assert isinstance(model, VDM)
    model.requires_grad_(False)
    parts = (dataset.train, dataset.validation, dataset.test)
    real = model.spec.encode(torch.cat([part.x for part in parts if part is not None])[:10_000])
    labels = labels_of(model, count)

    def samples(name: str, steps: int) -> Tensor:
        return model.spec.encode(model.sample(range(count), labels, sampler(model, name, steps)))

    fine = samples("auto", FINE)
    least = frechet(fine, real)
    found = {f"auto {FINE}": {"Frechet": least, "of 100 steps": 1.0, "distance": 0.0}}
    for steps in evaluations:
        for name in solvers:
            x = samples(name, steps)
            near = (x - fine).square().flatten(1).mean(1).sqrt().median().item()
            distance = frechet(x, real)
            row = {"Frechet": distance, "of 100 steps": distance / least, "distance": near}
            found[f"{name} {steps}"] = row
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", help="a run; without it, one of the digits recipe is trained")
    parser.add_argument("--solvers", nargs="*", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument("--evaluations", nargs="*", type=int, default=[5, 8, 10, 20])
    parser.add_argument("--count", type=int, default=2000, help="samples of each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    found = measure(
        trained(arguments.run), arguments.solvers, arguments.evaluations, arguments.count
    )
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{'':14s}" + "".join(f"{column:>18s}" for column in next(iter(found.values()))))
    for name, row in found.items():
        print(f"{name:14s}" + "".join(f"{value:18.4f}" for value in row.values()))


if __name__ == "__main__":
    main()
