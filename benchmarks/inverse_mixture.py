"""Every method for inverse problems on a Gaussian mixture with a known posterior, by distance.

    python -m benchmarks.inverse_mixture                   what is not yet in the results
    python -m benchmarks.inverse_mixture --choose          the settings, on problems of their own
    python -m benchmarks.inverse_mixture --table           the results as a table

d = 8, 80, 800 dimensions times 1, 2, 4 measured numbers, 20 problems each (`mixture_problems`), and
the sliced Wasserstein-1 distance of 1,000 samples from 1,000 exact ones. Beside the methods stand
the floor (exact against exact, the mean of five) and two samplers that do no work: all samples from
the component nearest to y, and the prior. Problems 0 to 19 are reported; settings were chosen on
problems 1000 to 1002, those of tds on 1000 to 1015. All methods see the same path, of log-SNR from
12 down to -20, where x_T is normal noise. A method with particles runs one population per problem,
and 1,000 of its particles are drawn by weight. Each result is saved at once; a run computes only
those that are missing.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path as File
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allegory.inverse import Matrix, Measurement, Posterior
from allegory.inverse.resampling import systematic
from allegory.process import Path
from allegory.sampling import Sampler
from benchmarks.mixture_methods import ENTRIES, Counted, Entry
from benchmarks.mixture_problems import COUNT, EXACT, ROWS, Problem

ON_REQUEST = True
RESULTS = File(__file__).parent / "results" / "inverse_mixture.json"
REPORTED, CHOICE = range(20), range(1000, 1003)
FLOORS = 5
BASELINES = {
    "floor": lambda p: float(np.mean([p.distance(p.exact(EXACT + 10 + i)) for i in range(FLOORS)])),
    "nearest component": lambda p: p.distance(p.nearest_draws()),
    "prior": lambda p: p.distance(p.prior_draws()),
}
Row = dict[str, Any]


def draws(problem: Problem, entry: Entry, index: int | None = None) -> tuple[Tensor, Row]:
    """Samples of a method, and what they cost each."""
    path = Path.vdm(12.0, -20.0)
    predict = Counted(problem.prior(path).float())
    measurement = Measurement(
        Matrix(problem.matrix.float()), problem.y[None].float(), problem.noise
    )
    posterior = Posterior(
        predict,
        measurement,
        entry.method(problem, index),
        Sampler(entry.solver, entry.steps, spacing="log_snr", end="zero"),
    )
    first = 10_000 * problem.seed[2]

    began = time.process_time()
    if hasattr(posterior.method, "run"):
        (particles,) = posterior.sample([first]).particles
        uniform = torch.from_numpy(problem.rng(99).random(1))
        samples = particles.x[0, systematic(particles.log_weights, uniform, COUNT)[0]]
    else:
        samples = posterior.sample(range(first, first + COUNT), batch=COUNT).x

    return samples, {
        "evaluations": predict.evaluations / COUNT,
        "products": predict.products / COUNT,
        "seconds": (time.process_time() - began) / COUNT,
    }


def result(problem: Problem, entry: Entry, index: int | None = None) -> Row:
    """The distance and the costs of a method on a problem; NaN where it has no finite samples."""
    try:
        samples, costs = draws(problem, entry, index)
    except ValueError as error:
        print(f"{problem.seed}: {error}", file=sys.stderr)
        return {"distance": float("nan")}
    return {"distance": problem.distance(samples), **costs}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and 1.96 of its standard errors."""
    return float(np.mean(values)), float(1.96 * np.std(values) / len(values) ** 0.5)


def measure(names: Sequence[str], rows: Sequence[tuple[int, int]], problems: int) -> None:
    """Fill the results with what they do not hold of so many problems."""
    for dims, measured in rows:
        for name in names:
            done = read().get(f"{dims},{measured}", {}).get(name, [])
            for number in REPORTED[len(done) : problems]:
                problem = Problem.draw(dims, measured, number)
                if name in BASELINES:
                    done.append({"distance": BASELINES[name](problem)})
                else:
                    done.append(result(problem, ENTRIES[name]))
                write(f"{dims},{measured}", name, done)
            mean, error = interval([each["distance"] for each in done])
            print(f"{dims:4} {measured:2} {name:20} {mean:.3f} ± {error:.3f}", flush=True)


def choose(names: Sequence[str], rows: Sequence[tuple[int, int]]) -> None:
    """Print the mean distance, in floors, of each setting on the problems for choices."""
    for name in names:
        entry = ENTRIES.get(name)
        for index, setting in enumerate(entry.settings if entry else ()):
            ratios = []
            for dims, measured in rows:
                problems = [Problem.draw(dims, measured, number) for number in CHOICE]
                assert entry is not None
                distances = [result(each, entry, index)["distance"] for each in problems]
                floors = [BASELINES["floor"](each) for each in problems]
                ratios.append(np.mean(distances) / np.mean(floors))
            each_row = " ".join(f"{ratio:.1f}" for ratio in ratios)
            print(f"{name:20} {setting!s:.40} {np.mean(ratios):8.2f}   ({each_row})", flush=True)


def table() -> str:
    """The results in Markdown: distances with 1.96 standard errors, then costs.

    The number of problems is given in brackets where it is not 20.
    """
    found = read()
    head = [f"{row.replace(',', ', ')}" for row in found]
    lines = ["| d, measured numbers | " + " | ".join(head) + " | evaluations, products, ms |"]
    lines.append("|---" * (len(head) + 2) + "|")
    for name in (*BASELINES, *ENTRIES):
        cells = []
        for row in found.values():
            done = row.get(name, [])
            mean, error = interval([each["distance"] for each in done] or [0.0])
            few = "" if len(done) == len(REPORTED) else f" ({len(done)})"
            cells.append(f"{mean:.2f} ± {error:.2f}{few}" if done else "")
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {_costs(found, name)} |")
    return "\n".join(lines)


def _costs(found: dict[str, dict[str, list[Row]]], name: str) -> str:
    """Evaluations, products and milliseconds a sample, means over all problems."""
    done = [each for row in found.values() for each in row.get(name, []) if "seconds" in each]
    if not done:
        return ""
    mean = {key: float(np.mean([each[key] for each in done])) for key in done[0]}
    return f"{mean['evaluations']:.0f}, {mean['products']:.0f}, {1000 * mean['seconds']:.1f}"


def read() -> dict[str, dict[str, list[Row]]]:
    """The results so far."""
    return json.loads(RESULTS.read_text())["distances"] if RESULTS.exists() else {}


def write(row: str, name: str, done: list[Row]) -> None:
    """Put these results of a method into the file."""
    found = read()
    found.setdefault(row, {})[name] = done
    known = [entry for entry in ENTRIES if not callable(ENTRIES[entry].settings[0])]
    whole = {
        "reported problems": [REPORTED.start, REPORTED.stop - 1],
        "problems for choices": [CHOICE.start, CHOICE.stop - 1],
        "steps": {entry: ENTRIES[entry].steps for entry in ENTRIES},
        "settings": {each: str(ENTRIES[each].settings[ENTRIES[each].chosen]) for each in known},
        "distances": found,
    }
    new = RESULTS.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(whole, indent=1))
    new.replace(RESULTS)


def main() -> None:
    """Measure, choose or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--choose", action="store_true", help="the settings of each method")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    parser.add_argument("--methods", nargs="*", default=[*BASELINES, *ENTRIES], metavar="NAME")
    parser.add_argument("--problems", type=int, default=len(REPORTED), help="at most 20")
    parser.add_argument("--dims", nargs="*", type=int, default=[8, 80, 800])
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rows = [row for row in ROWS if row[0] in arguments.dims]
    if arguments.choose:
        choose(arguments.methods, rows)
    elif not arguments.table:
        measure(arguments.methods, rows, arguments.problems)
    if arguments.table or arguments.json:
        print(json.dumps(read()) if arguments.json else table())


if __name__ == "__main__":
    main()
