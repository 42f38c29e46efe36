"""What `DiffusionDensity.fit` costs: time against its budget, and memory above that of 100 rows.

    python -m benchmarks table_fit                       100 to a million rows
    python -m benchmarks table_fit --rows 50000 --minutes 1

Columns are correlated normal numbers; each case runs in a process of its own, whose peak resident
memory is read. `limit` is twice the table and 64 MB.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

ON_REQUEST = True
_COLUMNS = 10
_BASE = 100


def table(rows: int) -> np.ndarray:
    """Correlated numbers (rows, 10), made in place."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, _COLUMNS))
    for place in range(1, _COLUMNS):
        x[:, place] += 0.5 * x[:, place - 1]
    return x


def fit(rows: int, minutes: float) -> dict[str, float]:
    """The figures of one fit, in this process.

    Args:
        rows: of the table.
        minutes: the budget.
    """
    import warnings

    from allegory.estimator import DiffusionDensity

    warnings.simplefilter("ignore")
    x = table(rows)
    started = time.monotonic()
    density = DiffusionDensity(minutes=minutes).fit(x)
    seconds = time.monotonic() - started
    mixture = 60 * (0.95 * minutes - density.run_.training.minutes)

    return {
        "rows": rows,
        "budget": 60 * minutes,
        "seconds": round(seconds, 1),
        "mixture": round(mixture, 1),
        "steps": density.n_steps_,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def case(rows: int, minutes: float) -> dict[str, float]:
    """The figures of one fit, in a process of its own.

    Args:
        rows: of the table.
        minutes: the budget.
    """
    command = [sys.executable, "-m", "benchmarks.table_fit", "--case", str(rows), str(minutes)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a line on each number of rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks table_fit", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 50_000, 1_000_000])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--case", nargs=2, metavar=("ROWS", "MINUTES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(fit(int(arguments.case[0]), float(arguments.case[1]))))
        return

    base, lines = case(_BASE, arguments.minutes), []
    for rows in arguments.rows:
        found = case(rows, arguments.minutes)
        above = found["peak_mb"] - base["peak_mb"]
        limit = 2 * rows * _COLUMNS * 8 / 2**20 + 64
        lines.append({**found, "above_mb": above, "limit_mb": round(limit)})
        if not arguments.json:
            print(lines[-1], flush=True)
    if arguments.json:
        print(json.dumps({"base": base, "cases": lines}))


if __name__ == "__main__":
    main()
