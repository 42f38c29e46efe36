"""Energies against the truth.

How well -E knows log p at points of the data, by the way in which it was trained.

    python -m benchmarks.energies                  four trainings for each of six toys
    python -m benchmarks.energies --minutes 0.2      less
    python -m benchmarks.energies --toys moons       some of them
    python -m benchmarks.energies --json             one JSON object

Each row is a toy and a method: `diffusion` is the recipe `toy_energy` at t = 0, where there is
least noise; nce, pcd and cd are the contrastive losses, on a network of the same size and for the
same time. At the 2,000 test points: the Pearson correlation of -E with log p, and the standard
deviation of -E - log p in nats, which sees a wrong slope too. `within` is the correlation when each
part of the data (a moon, a ring, a Gaussian, an arm) is shifted by a constant of its own. At t = 0
a score says nothing of how much weight the one has beside the other. On the checkerboard log p is
one number, so there is no correlation. The seconds are processor time, of one thread.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from allegory.data import Batches, Dataset, load, log_density
from allegory.data.densities import DENSITIES
from allegory.models import VDM, Energy
from allegory.models.contrastive import ContrastiveConfig, ContrastiveEnergy
from allegory.recipes import DiffusionConfig, Run, execute, recipe_named
from allegory.sampling.mcmc.langevin import Hamiltonian
from allegory.training import TrainingConfig, train

METHODS = ("diffusion", "nce", "pcd", "cd")
STEP, LEAPFROGS, CALLS, REFERENCE = (
    0.02,
    5,
    4,
    0.6,
)  # of the chains in model space; the deviation of q
PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "moons": lambda x: (from_circle(x, -1.0, -0.5) > from_circle(x, 1.0, 0.5)).long(),
    "rings": lambda x: (x.norm(dim=1) / 0.75).round().long() - 1,
    "eight_gaussians": lambda x: sector(x, torch.zeros(len(x)), 8),
    "pinwheel": lambda x: sector(x, 0.25 * (x.norm(dim=1) / 1.5).exp(), 5),
}
"""Which part of the data a point belongs to, the nearest."""


def from_circle(x: Tensor, *centre: float) -> Tensor:
    """The distance to a circle of radius 2."""
    return ((x - torch.tensor(centre)).norm(dim=1) - 2).abs()


def sector(x: Tensor, turn: Tensor, count: int) -> Tensor:
    """The nearest of `count` directions, the first at the angle `turn`."""
    return ((torch.atan2(x[:, 1], x[:, 0]) - turn) / (math.tau / count)).round().long() % count


def diffusion(run: Run) -> tuple[Callable[[Tensor], Tensor], int]:
    """-E of points in model space at t = 0, after the recipe, and the steps it took."""
    with tempfile.TemporaryDirectory() as folder:
        trained, result = execute(run, Path(folder) / "run")
        model = trained.model()
    assert isinstance(model, VDM) and isinstance(model.denoiser, Energy)
    energy = model.denoiser
    return lambda z: energy.log_density(z, 0.0), result.step


def contrastive(method: str, run: Run, data: Dataset) -> tuple[Callable[[Tensor], Tensor], int]:
    """The same by contrast: the network, batch, averaging and time of the recipe."""
    torch.manual_seed(run.training.seed)
    assert isinstance(run.model, DiffusionConfig)
    network = run.model.network.build(data.spec.shape, None, outputs=1)
    kernel = Hamiltonian(STEP, LEAPFROGS)
    batch = run.training.batch_size
    config = ContrastiveConfig(method, REFERENCE, kernel, CALLS, chains=4 * batch)
    model = ContrastiveEnergy(network, data.spec, config)
    training: TrainingConfig = replace(run.training, learning_rate=1e-3)
    result = train(model, Batches(data.train, batch, training.seed), training)
    assert isinstance(result.ema, ContrastiveEnergy)
    energy = result.ema.energy
    return lambda z: -energy(z), result.step


def correlation(a: Tensor, b: Tensor) -> float | None:
    """Pearson's; None where one of them does not vary."""
    return (
        None if min(a.std(), b.std()) < 1e-6 else torch.corrcoef(torch.stack([a, b]))[0, 1].item()
    )


@torch.no_grad()
def compare(name: str, data: Dataset, found: Callable[[Tensor], Tensor]) -> dict[str, float | None]:
    """-E against log p at the test points."""
    x = data.test.x
    truth, own = log_density(name, x), found(data.spec.encode(x)).double()
    part = PARTS.get(name, lambda x: torch.zeros(len(x), dtype=torch.int64))(x)
    shift = torch.stack([(own - truth)[part == k].mean() for k in range(int(part.max()) + 1)])
    return {
        "correlation": correlation(own, truth),
        "within": correlation(own - shift[part], truth),
        "std of difference": (own - truth).std().item(),
        "std of log p": truth.std().item(),
    }


def measure(name: str, method: str, minutes: float | None) -> dict[str, float | None]:
    """Train on one toy by one method, and compare."""
    run, data, begun = recipe_named("toy_energy", name), load(name), time.process_time()
    if minutes is not None:
        run = replace(run, training=replace(run.training, minutes=minutes))
    found, steps = diffusion(run) if method == "diffusion" else contrastive(method, run, data)
    seconds = time.process_time() - begun
    return {**compare(name, data, found), "steps": steps, "seconds": seconds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Energies against log p of the toys.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--minutes", type=float, help="of training, each; those of the recipe if not given"
    )
    parser.add_argument(
        "--toys", nargs="*", choices=list(DENSITIES), default=list(DENSITIES), help="all by default"
    )
    parser.add_argument(
        "--methods", nargs="*", choices=METHODS, default=list(METHODS), help="all by default"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in arguments.toys:
        table[name] = {}
        for method in arguments.methods:
            table[name][method] = figures = measure(name, method, arguments.minutes)
            if not arguments.json:
                words = (
                    f"{key} {'-' if value is None else format(value, '.4g')}"
                    for key, value in figures.items()
                )
                print(f"{name:<17}{method:<11}" + "  ".join(words), flush=True)
    if arguments.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
