"""What tuning brings: the end of the flow on items that a sampler has not learned from.

    python -m benchmarks tuned                       a table
    python -m benchmarks tuned --problems mnist      some
    python -m benchmarks tuned --json                one JSON object

The problems of `benchmarks.problems`, held-out ones (REPORTED) by default, on the path of DDPM's
betas; beside `auto` the plan that `tune` fits to 512 items of other seeds in 600 steps of descent.
RMSE over 128 held-out items, the median of the items' own RMSE, both over the best of other
libraries in that cell, and the seconds that tuning took on one thread.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from allegory import grid, sample
from allegory.sampling import TunedSampler, TuningConfig, initial_noise, tune

from .peers import results
from .problems import PROBLEMS, REPORTED, Trial, cached_trial

ON_REQUEST = True
EVALUATIONS, OTHER_SEEDS = (5, 8, 10, 15, 20), 10**6
CHOICE = TuningConfig(5, iterations=600, batch=128, held_out=64, end="min", seed=OTHER_SEEDS)
NAMES = ("auto RMSE", "auto median", "tuned RMSE", "tuned median")


def errors(trial: Trial, solver: str | TunedSampler, evaluations: int) -> tuple[float, float]:
    """RMSE, and the median RMSE of an item.

    Args:
        trial: the problem.
        solver: a name, or a plan with its grid.
        evaluations: of the denoiser.
    """
    if isinstance(solver, TunedSampler):
        end = sample(trial.exact, trial.x, solver.grid, solver=solver.solver)
    else:
        levels = grid(trial.exact.path, evaluations, "angle", "min", trial.dims)
        end = sample(trial.exact, trial.x, levels, solver=solver)
    return trial.errors(end)


def measured(name: str, path: str, keep: Path) -> dict[int, dict[str, float]]:
    """Before and after, by evaluations.

    Args:
        name: of the problem.
        path: its name.
        keep: the folder of references.
    """
    trial = cached_trial(name, path, keep)
    best = results().get("best", {}).get(path, {}).get(name, {})
    found = {}
    for evaluations in EVALUATIONS:
        start = time.perf_counter()
        seeds = range(OTHER_SEEDS, OTHER_SEEDS + 512 + CHOICE.held_out)
        x_T = initial_noise(trial.exact.path, (trial.exact.data.dims,), seeds).to(trial.x)
        tuned = tune(trial.exact, x_T, replace(CHOICE, steps=evaluations))
        seconds = time.perf_counter() - start

        values = (*errors(trial, "auto", evaluations), *errors(trial, tuned, evaluations))
        row = {**dict(zip(NAMES, values, strict=True)), "seconds": seconds}
        if cell := best.get(str(evaluations)):
            row |= {f"{each}/best": row[each] / cell["median" in each][0] for each in NAMES}
        found[evaluations] = row
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tuned",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(REPORTED))
    parser.add_argument("--path", default="vp")
    parser.add_argument("--keep", type=Path, default=Path("peer_errors"), help="for references")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)

    found = {}
    for name in arguments.problems:
        found[name] = rows = measured(name, arguments.path, arguments.keep)
        if not arguments.json:
            columns = list(next(iter(rows.values())))
            print(f"\n{name}\n{'evaluations':12s}" + "".join(f"{each:>18s}" for each in columns))
            for n, row in rows.items():
                print(f"{n:<12d}" + "".join(f"{row[each]:18.2e}" for each in columns), flush=True)
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
