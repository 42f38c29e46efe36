"""What tuning brings: the end of the flow on items that a sampler has not learned from.

    python -m benchmarks.tuned            a table
    python -m benchmarks.tuned --json     one JSON object

The problems, starting points and reference of `benchmarks.solvers`; beside `auto` the plan that
`tune` fits to 512 items of other seeds in 600 steps of descent. RMSE over 128 held-out items, the
median of the items' own RMSE, and the seconds that tuning took on one thread.
"""

import argparse
import json
import time
from dataclasses import replace

import torch
from torch import Tensor

from allegory import grid, sample
from allegory.sampling import TunedSampler, TuningConfig, initial_noise, tune

from .solvers import FINE, ITEMS, PATH, Isotropic, problems

EVALUATIONS, OTHER_SEEDS = (5, 8, 10, 15, 20), 10**6
CHOICE = TuningConfig(5, iterations=600, batch=128, held_out=64, end="min", seed=OTHER_SEEDS)


def errors(
    predict: Isotropic, x: Tensor, truth: Tensor, solver: str | TunedSampler, evaluations: int
) -> tuple[float, float]:
    """RMSE, and the median RMSE of an item."""
    if isinstance(solver, TunedSampler):
        end = sample(predict, x, solver.grid, solver=solver.solver)
    else:
        end = sample(predict, x, grid(PATH, evaluations, "angle", "min"), solver=solver)
    wrong = (end - truth).square().mean(1).sqrt()
    return wrong.square().mean().sqrt().item(), wrong.median().item()


def measure(predict: Isotropic) -> dict[int, dict[str, float]]:
    """Before and after, by evaluations."""
    dims = predict.means.shape[1]
    x = torch.randn(ITEMS, dims, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = sample(predict, x, grid(PATH, FINE, "angle", "min"), solver="vab4c")
    found = {}
    for evaluations in EVALUATIONS:
        start = time.perf_counter()
        seeds = range(OTHER_SEEDS, OTHER_SEEDS + 512 + CHOICE.held_out)
        x_T = initial_noise(PATH, (dims,), seeds).to(x)
        tuned = tune(predict, x_T, replace(CHOICE, steps=evaluations))
        seconds = time.perf_counter() - start
        before = errors(predict, x, truth, "auto", evaluations)
        after = errors(predict, x, truth, tuned, evaluations)
        names = ("auto RMSE", "auto median", "tuned RMSE", "tuned median", "seconds")
        found[evaluations] = dict(zip(names, (*before, *after, seconds), strict=True))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What tuning a sampler brings.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(predict) for name, predict in problems().items()}
    if arguments.json:
        print(json.dumps(found))
        return
    for name, rows in found.items():
        print(
            f"\n{name}\n{'evaluations':12s}"
            + "".join(f"{column:>14s}" for column in next(iter(rows.values())))
        )
        for evaluations, row in rows.items():
            print(f"{evaluations:<12d}" + "".join(f"{value:14.2e}" for value in row.values()))


if __name__ == "__main__":
    main()
