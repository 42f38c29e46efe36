"""How near the end of the probability flow a sampler comes, beside the best of other libraries.

    python -m benchmarks solvers                     tables, both halves
    python -m benchmarks solvers --solvers auto      some
    python -m benchmarks solvers --json              one JSON object

The problems of `benchmarks.problems`, the errors of `benchmarks.peers`. A ratio is ours over that
of the best of all configurations of other libraries in that cell, chosen after all were measured;
below 1 is in our favour. RMSE over 128 items and all numbers, and the median of the items' own
RMSE: an item that ends in another mode adds 0.1 or more to the first and nothing to the second.

Geometric means of ratios over evaluations and paths, of each problem and of each half: settings
were chosen by one and are reported on the other.
"""

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from allegory import grid, sample
from allegory.sampling import SOLVERS, pilot

from .peers import EVALUATIONS, HALVES, MEASURES, PATHS, results
from .problems import PROBLEMS, Trial, cached_trial

ON_REQUEST = True
TARGETS = (
    "auto",
    "auto:pilot",
    "vab4",
    "vab3c",
    "dpmpp2m",
    "dpmpp3m",
    "unipc3",
    "x0ab3c",
    "epsab3",
    "ddim",
)
Table = dict[str, dict[str, dict[str, dict[str, tuple[float, float]]]]]
"""By path, problem, solver and evaluations: RMSE and median."""


def errors(trial: Trial, name: str, evaluations: int) -> tuple[float, float]:
    """Of a solver.

    Args:
        trial: the problem.
        name: of the solver.
        evaluations: of the denoiser, one a step.
    """
    if name == "auto:pilot":
        noise = pilot_noise(trial)
        trial.exact.evaluations = 0
        adapted = pilot(trial.exact, noise, evaluations, end="min")
        assert trial.exact.evaluations <= 10 * evaluations
        return trial.errors(sample(trial.exact, trial.x, adapted.grid, solver=adapted.solver))

    levels = grid(trial.exact.path, evaluations, SOLVERS[name].spacing, "min", trial.dims)
    trial.exact.evaluations = 0
    end = sample(trial.exact, trial.x, levels, solver=name)
    assert trial.exact.evaluations == evaluations
    return trial.errors(end)


def pilot_noise(trial: Trial) -> torch.Tensor:
    """The initial noise of eight items of its own."""
    source = torch.Generator().manual_seed(99)
    noise = torch.randn(8, trial.dims, generator=source, dtype=torch.float64)
    return trial.exact.path.prior_std * noise


def measured(
    names: Iterable[str], problems: Iterable[str], paths: Iterable[str], keep: Path
) -> Table:
    """The errors of solvers.

    Args:
        names: of the solvers.
        problems: names of PROBLEMS.
        paths: names of PATHS.
        keep: the folder of references.
    """
    table: Table = {}
    for path in paths:
        for problem in problems:
            trial = cached_trial(problem, path, keep)
            table.setdefault(path, {})[problem] = {
                name: {str(n): errors(trial, name, n) for n in EVALUATIONS} for name in names
            }
    return table


def ratios(table: Table, peers: dict[str, Any], solver: str, measure: int) -> dict[str, float]:
    """Geometric means of a solver's ratios over evaluations and paths: of each problem that others
    were measured on, and of each half.

    Args:
        table: ours.
        peers: `peers.results()`.
        solver: its name.
        measure: 0 for RMSE, 1 for the median.
    """
    logs: dict[str, list[float]] = {}
    for path, problems in table.items():
        for problem, rows in problems.items():
            best = peers["best"].get(path, {}).get(problem, {})
            for n, cell in best.items():
                own = math.log(rows[solver][n][measure] / cell[measure][0])
                half = next(title for title, names in HALVES.items() if problem in names)
                logs.setdefault(problem, []).append(own)
                logs.setdefault(half, []).append(own)
    return {name: math.exp(sum(each) / len(each)) for name, each in logs.items()}


def show(table: Table, peers: dict[str, Any], names: Iterable[str]) -> None:
    """One line for each solver and problem."""
    for i, measure in enumerate(MEASURES):
        found = {name: ratios(table, peers, name, i) for name in names}
        columns = list(next(iter(found.values())))
        print(f"\n{measure}: ours over the best of others in each cell, geometric mean")
        print(f"{'':14s}" + "".join(f"{name:>13s}" for name in columns))
        for name, row in found.items():
            print(f"{name:14s}" + "".join(f"{row[each]:13.2f}" for each in columns))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks solvers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--solvers", nargs="*", default=list(TARGETS), metavar="NAME")
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--paths", nargs="*", choices=PATHS, default=list(PATHS))
    parser.add_argument("--keep", type=Path, default=Path("peer_errors"), help="for references")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)

    table = measured(arguments.solvers, arguments.problems, arguments.paths, arguments.keep)
    if arguments.json:
        print(json.dumps(table))
        return
    show(table, results(), arguments.solvers)


if __name__ == "__main__":
    main()
