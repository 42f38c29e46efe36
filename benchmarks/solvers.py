"""How near the end of the probability flow a sampler comes, beside the best of other libraries.

    python -m benchmarks solvers                     run what is missing, and print
    python -m benchmarks solvers --table             the tables of the docs, in Markdown
    python -m benchmarks solvers --json              one JSON object

The problems of `benchmarks.problems`, the errors of `benchmarks.peers`. A ratio is ours over that
of the best of all configurations of other libraries in that cell, chosen after all were measured;
below 1 is in our favour. RMSE over 128 items and all numbers, and the median of the items' own
RMSE: an item that ends in another mode adds 0.1 or more to the first and nothing to the second.

Geometric means of ratios over evaluations and paths, of each problem and of each half: settings
were chosen by one and are reported on the other. The last line of each table is over the one
configuration of other libraries that is best where one must serve for all reported cells.
"""

import argparse
import json
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch

from allegory import grid, sample
from allegory.sampling import SOLVERS, pilot

from .peers import EVALUATIONS, HALVES, MEASURES, PATHS, results
from .problems import PROBLEMS, Trial, cached_trial
from .rows import Row, Rows

ON_REQUEST = True
OURS = ("auto", "auto:pilot")
TARGETS = (*OURS, "vab4", "dpmpp2m", "dpmpp3m", "unipc3", "x0ab3c", "epsab3", "ddim")
ROWS = Rows(Path(__file__).parent / "results" / "solvers.json")
"""By path and problem, then solver and evaluations: RMSE and median."""


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


def measured(problem: str, path: str, names: Iterable[str], keep: Path) -> Row:
    """The errors of solvers, by name and evaluations.

    Args:
        problem: its name.
        path: of PATHS.
        names: of the solvers.
        keep: the folder of references.
    """
    trial = cached_trial(problem, path, keep)
    return {name: {str(n): errors(trial, name, n) for n in EVALUATIONS} for name in names}


def ratios(solver: str, measure: int, of: str = "best") -> dict[str, float]:
    """Geometric means of a solver's ratios over evaluations and paths: of each problem that others
    were measured on, and of each half.

    Args:
        solver: its name.
        measure: 0 for RMSE, 1 for the median.
        of: "best" for the best of each cell, "one for all" for the one configuration.
    """
    peers = results()
    logs: dict[str, list[float]] = {}
    for path, problems in ROWS.read().items():
        for problem, rows in problems.items():
            if of == "best":
                cells = peers["best"].get(path, {}).get(problem, {})
                others = {n: cell[measure][0] for n, cell in cells.items()}
            else:
                others = peers[of][measure]["errors"].get(path, {}).get(problem, {})

            half = next(title for title, names in HALVES.items() if problem in names)
            for n, other in others.items():
                own = math.log(rows[solver][n][measure] / other)
                logs.setdefault(problem, []).append(own)
                logs.setdefault(half, []).append(own)
    return {name: math.exp(sum(each) / len(each)) for name, each in logs.items()}


def table(names: Iterable[str]) -> str:
    """Ratios of each solver in Markdown: the halves, and every problem."""
    lines = []
    for i, measure in enumerate(MEASURES):
        found = {name: ratios(name, i) for name in names}
        found |= {f"{name} / one for all": ratios(name, i, "one for all") for name in OURS}
        columns = [*HALVES, *(name for name in PROBLEMS if name in found["auto"])]
        lines += ["", f"| {measure} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for name, row in found.items():
            cells = (f"{row[each]:.2f}" if each in row else "" for each in columns)
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks solvers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--paths", nargs="*", choices=PATHS, default=list(PATHS))
    parser.add_argument("--keep", type=Path, default=Path("peer_errors"), help="for references")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for path in arguments.paths:
            for name in arguments.problems:
                work = partial(measured, name, path, TARGETS, arguments.keep)
                ROWS.fill(path, name, work)
    print(json.dumps(ROWS.read()) if arguments.json else table(TARGETS))


if __name__ == "__main__":
    main()
