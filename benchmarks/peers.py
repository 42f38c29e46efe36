"""The deterministic samplers of other libraries on exact problems, by evaluations of the network.

    python -m benchmarks peers                   the best of them by problem, from the results
    python -m benchmarks peers --peers           run what is missing (about three hours on one core)
    python -m benchmarks peers --json

The problems, starting points and references of `benchmarks.problems`. Every configuration of
`peer_samplers` runs at every number of evaluations, and the best of them is saved for each cell,
once by RMSE and once by median: it is chosen after all have been measured, which no user can do.
Beside it is the one configuration that is best over all cells of REPORTED, as a default must be.
`python -m benchmarks solvers` sets our own samplers against both.

A sampler that takes two evaluations a step makes as many steps as it can afford. Evaluations are
counted, not assumed. The figures of all configurations are saved in --keep.
"""

import argparse
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from .peer_samplers import Flow, Sampler, samplers
from .problems import CHOSEN_BY, PROBLEMS, REPORTED, Trial, cached_trial
from .rows import Rows

ON_REQUEST = True
PATHS = ("vp", "ve", "flow")
EVALUATIONS = (5, 8, 10, 15, 20, 30, 50)
MEASURES = ("RMSE", "median")
HALVES = {"chosen by": tuple(CHOSEN_BY), "reported": tuple(REPORTED)}
LIBRARIES = ("diffusers", "azula", "k_diffusion")
INSTALL = (
    "pip install -c constraints.txt -e '.[peers]' && "
    "pip install --no-deps -c constraints.txt k-diffusion"
)
RESULTS = Path(__file__).parent / "results" / "peers.json"
Errors = tuple[float, float]


def ended(trial: Trial, sampler: Sampler, evaluations: int) -> Errors:
    """The errors of a configuration, infinite for no result. More evaluations are an error.

    Args:
        trial: the problem.
        sampler: the configuration.
        evaluations: that it is given.
    """
    exact = trial.exact
    first, last = (float(level.alpha) for level in exact.path.levels([1.0, 0.0]))
    exact.evaluations = 0
    y = sampler(Flow(exact.denoise, exact.path, trial.x / first), evaluations)
    assert exact.evaluations <= evaluations, f"{exact.evaluations} evaluations for {evaluations}"

    found = (math.inf, math.inf) if y is None else trial.errors(last * y)
    return found if all(map(math.isfinite, found)) else (math.inf, math.inf)


def measured(name: str, path: str, keep: Path) -> dict[str, Any]:
    """The errors of all configurations on a problem, by evaluations; none for no result.

    Args:
        name: of the problem.
        path: of PATHS.
        keep: the folder of references.
    """
    trial, peers = cached_trial(name, path, keep), samplers()
    found: dict[str, dict[str, list[float]]] = {}
    for n in EVALUATIONS:
        errors = {title: ended(trial, peer, n) for title, peer in peers.items()}
        found[str(n)] = {
            title: [float(f"{each:.4g}") for each in own]
            for title, own in errors.items()
            if math.isfinite(own[0])
        }
    return found


def summary(raw: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The best of each cell, and the errors of the one that serves best in all reported ones.

    Args:
        raw: by path, problem, evaluations and configuration.
    """
    best = {
        path: {
            name: {
                n: [min((own[i], title) for title, own in row.items()) for i in (0, 1)]
                for n, row in rows.items()
            }
            for name, rows in problems.items()
        }
        for path, problems in raw.items()
    }
    return {"best": best, "one for all": [_one_for_all(raw, i) for i in (0, 1)]}


def _one_for_all(raw: dict[str, dict[str, Any]], measure: int) -> dict[str, Any]:
    """The configuration of the least geometric mean over the cells of REPORTED, and its errors."""
    cells = [
        row
        for problems in raw.values()
        for name, rows in problems.items()
        if name in REPORTED
        for row in rows.values()
    ]
    if not cells:
        return {}
    everywhere = [title for title in cells[0] if all(title in row for row in cells)]
    means = {
        title: sum(math.log(row[title][measure]) for row in cells) / len(cells)
        for title in everywhere
    }
    name = min(means, key=lambda title: means[title])
    errors = {
        path: {
            problem: {n: row[name][measure] for n, row in rows.items() if name in row}
            for problem, rows in problems.items()
        }
        for path, problems in raw.items()
    }
    return {"name": name, "errors": errors}


def results() -> dict[str, Any]:
    """What is committed."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peers", action="store_true", help="run what is missing in --keep")
    parser.add_argument("--keep", type=Path, default=Path("peer_errors"), help="a folder")
    parser.add_argument("--paths", nargs="*", choices=PATHS, default=PATHS)
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if arguments.peers:
        if absent := [library for library in LIBRARIES if find_spec(library) is None]:
            raise SystemExit(f"not installed: {', '.join(absent)}; {INSTALL}")
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for path in arguments.paths:
            rows = Rows(arguments.keep / f"{path}.json")
            for name in arguments.problems:
                rows.fill(path, name, lambda n=name, p=path: measured(n, p, arguments.keep))
        raw = {}
        for path in PATHS:
            raw.update(Rows(arguments.keep / f"{path}.json").read())
        RESULTS.write_text(json.dumps(summary(raw), indent=1) + "\n")

    found = results()
    if arguments.json:
        print(json.dumps(found))
        return
    for path, problems in found.get("best", {}).items():
        for name, rows in problems.items():
            for n, cell in rows.items():
                words = "  ".join(f"{error:9.1e} {title:44s}" for error, title in cell)
                print(f"{path:6s}{name:14s}{n:>4s}  {words}".rstrip())


if __name__ == "__main__":
    main()
