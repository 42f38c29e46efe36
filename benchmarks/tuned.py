"""What tuning brings: the end of the flow on items that a sampler has not learned from.

    python -m benchmarks tuned                       a table
    python -m benchmarks tuned --problems mnist      some
    python -m benchmarks tuned --table               print what there is
    python -m benchmarks tuned --json                the same as one JSON object

The problems of `benchmarks.problems`, held-out ones (REPORTED) by default, on the path of DDPM's
betas; beside `auto` the plan that `tune` fits to 512 items of other seeds in 600 steps of descent.
RMSE over 128 held-out items, the median of the items' own RMSE, both over the best of other
libraries in that cell, the seconds that tuning took on one thread, and the largest memory of the
process so far. Results are kept row by row, and a run computes those that are missing.
"""

import argparse
import json
import math
import resource
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from allegory import grid, sample
from allegory.sampling import TunedSampler, TuningConfig, initial_noise, tune

from .peers import results
from .problems import CHOSEN_BY, PROBLEMS, REPORTED, Trial, cached_trial
from .rows import Row, Rows

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "tuned.json")
PATH = "vp"
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


def measured(name: str, path: str, evaluations: int, keep: Path) -> Row:
    """Before and after.

    Args:
        name: of the problem.
        path: its name.
        evaluations: of the denoiser.
        keep: the folder of references.
    """
    trial = cached_trial(name, path, keep)
    start = time.perf_counter()
    seeds = range(OTHER_SEEDS, OTHER_SEEDS + 512 + CHOICE.held_out)
    x_T = initial_noise(trial.exact.path, (trial.exact.data.dims,), seeds).to(trial.x)
    tuned = tune(trial.exact, x_T, replace(CHOICE, steps=evaluations))
    seconds = time.perf_counter() - start

    values = (*errors(trial, "auto", evaluations), *errors(trial, tuned, evaluations))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**dict(zip(NAMES, values, strict=True)), "seconds": seconds, "MiB": memory}


def show(found: dict[str, dict[str, Row]], path: str) -> None:
    """A table for each problem, and geometric means of the ratios of each half."""
    best = results()["best"].get(path, {})
    columns = [*NAMES, *(f"{each}/best" for each in NAMES), "seconds", "MiB"]
    logs: dict[str, dict[str, list[float]]] = {"chosen by": {}, "reported": {}}
    for problem, rows in found.items():
        print(f"\n{problem}\n{'evaluations':12s}" + "".join(f"{each:>18s}" for each in columns))
        half = logs["chosen by" if problem in CHOSEN_BY else "reported"]
        for n, row in rows.items():
            for each in NAMES:
                ratio = row[each] / best[problem][n]["median" in each][0]
                row = {**row, f"{each}/best": ratio}
                half.setdefault(each, []).append(math.log(ratio))
            print(f"{n:12s}" + "".join(f"{row[each]:18.2e}" for each in columns))

    for title, half in logs.items():
        means = (f"{each} {math.exp(sum(v) / len(v)):.2f}" for each, v in half.items())
        print(f"\n{title}, over the best of others, geometric means: {', '.join(means)}")


def main() -> None:
    """Measure what is missing, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tuned",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(REPORTED))
    parser.add_argument("--evaluations", nargs="*", type=int, default=list(EVALUATIONS))
    parser.add_argument("--keep", type=Path, default=Path("peer_errors"), help="for references")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for name in arguments.problems:
            for n in arguments.evaluations:
                work = partial(measured, name, PATH, n, arguments.keep)
                ROWS.fill(name, str(n), work)
    if arguments.json:
        print(json.dumps(ROWS.read()))
        return
    show(ROWS.read(), PATH)


if __name__ == "__main__":
    main()
