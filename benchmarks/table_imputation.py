"""Missing values of iris, wine and breast_cancer: errors of imputations, and coverage of intervals.

    pip install -c constraints.txt scikit-learn POT miceforest 'lightgbm<4.7'
    OMP_NUM_THREADS=1 python -m benchmarks.table_imputation
    OMP_NUM_THREADS=1 python -m benchmarks.table_imputation --rows allegory
    python -m benchmarks.table_imputation --table

Values of the training rows are made missing, never the class, and filled in 19 times. Splits,
scales and distances are those of `benchmarks.table_scores`. Two mechanisms:

- MCAR, completely at random: each value with probability 0.2, as in ForestDiffusion
  (Jolicoeur-Martineau, Fatras, Kachman 2024);
- MNAR, not at random: a value above the 70 % quantile of its column in the training rows is missing
  with probability 0.5, all others are there. What is missing depends on itself alone.

Figures, on columns scaled to [0, 1], means over three splits:

- MinMAE: of each row, the least absolute error of five draws, per missing value; AvgMAE: the mean
  of the five; W1 test: optimal transport from the filled table to the test rows, the mean of the
  five. These three are theirs;
- MAE of the median of 19 draws, the best single answer by this measure;
- coverage: the share of missing values within the range of 19 draws. 18 of 20 exchangeable numbers
  are not the lowest or the highest, so draws from the true conditional cover 90 %, not about 90 %.
  Its error is over the splits; width: of the interval. Methods of one answer have none;
- seconds of one core for all draws.

Rows that are named "published" were not run here: they are from the repository
SamsungSAILMontreal/ForestDiffusion, `Results/Results_tabular - imputation.csv`.

Each row is saved at once, and a run computes those that are missing.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from . import table_scores as scores
from .rows import Row, Rows
from .table_scores import SETS, Array, Split

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "table_imputation.json")
DRAWS, SCORED = 19, 5
MINUTES = 1.0  # of ours, for each fit
MECHANISMS = ("MCAR", "MNAR")
Method = Callable[[Split, Array], Array]

_PUBLISHED_KEYS = ("MinMAE", "AvgMAE", "W1 test")
_PUBLISHED = {
    "iris": {
        "Forest-VP": (0.041, 0.097, 0.238),
        "Forest-VP, RePaint": (0.046, 0.095, 0.238),
        "miceforest": (0.045, 0.082, 0.242),
        "MissForest": (0.061, 0.072, 0.241),
        "KNN": (0.105, 0.105, 0.253),
    },
    "wine": {
        "Forest-VP": (0.085, 0.129, 1.434),
        "Forest-VP, RePaint": (0.085, 0.127, 1.430),
        "miceforest": (0.079, 0.112, 1.419),
        "MissForest": (0.095, 0.106, 1.404),
        "KNN": (0.139, 0.139, 1.465),
    },
    "breast_cancer": {
        "Forest-VP": (0.042, 0.059, 1.853),
        "Forest-VP, RePaint": (0.042, 0.058, 1.851),
        "miceforest": (0.029, 0.040, 1.832),
        "MissForest": (0.033, 0.036, 1.822),
        "KNN": (0.063, 0.063, 1.885),
    },
}


def holes(split: Split, mechanism: str) -> tuple[Split, Array]:
    """The training rows with missing values as NaN, without the rows that have no value left."""
    x = split.train[:, :-1]
    generator = torch.Generator().manual_seed(split.seed)
    drawn = torch.rand(x.shape, generator=generator, dtype=torch.float64).numpy()
    if mechanism == "MCAR":
        missing = drawn < 0.2
    else:
        missing = (x > np.quantile(x, 0.7, axis=0)) & (drawn < 0.5)

    table = np.column_stack([np.where(missing, np.nan, x), split.train[:, -1]])
    is_used = ~missing.all(1)
    return replace(split, train=split.train[is_used]), table[is_used]


def column_means(split: Split, table: Array) -> Array:
    """The mean of the observed values of each column."""
    return np.where(np.isnan(table), np.nanmean(table, 0), table)[None]


def neighbour(split: Split, table: Array) -> Array:
    """The nearest row, by standardised columns with the class."""
    from sklearn.impute import KNNImputer

    mean, std = np.nanmean(table, 0), np.nanstd(table, 0)
    filled = KNNImputer(n_neighbors=1).fit_transform((table - mean) / std)
    return np.where(np.isnan(table), filled * std + mean, table)[None]


def ridge(split: Split, table: Array) -> Array:
    """Chained Bayesian ridge regressions with draws of their predictive distributions."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    seen = np.column_stack([table[:, :-1], split.one_hot(table[:, -1])])
    low, high = np.nanmin(seen, 0), np.nanmax(seen, 0)
    found = []
    for seed in range(DRAWS):
        model = IterativeImputer(
            sample_posterior=True, min_value=low, max_value=high, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.append(model.fit_transform(seen)[:, : table.shape[1] - 1])
    return _with_class(np.stack(found), table)


def mice(split: Split, table: Array) -> Array:
    """Chained LightGBM with predictive mean matching, five iterations."""
    import miceforest
    import pandas as pd

    frame = pd.DataFrame(table, columns=[str(place) for place in range(table.shape[1])])
    frame[frame.columns[-1]] = frame[frame.columns[-1]].astype("category")
    kernel = miceforest.ImputationKernel(frame, num_datasets=DRAWS, random_state=split.seed)
    kernel.mice(5, num_threads=1)
    found = [kernel.complete_data(dataset=place).to_numpy(np.float64) for place in range(DRAWS)]
    return np.stack(found)


def allegory(split: Split, table: Array) -> Array:
    """Ours, with its defaults, fitted on a frame with holes whose class is a category."""
    from allegory.estimator import DiffusionDensity

    seen = scores.frame(table)
    model = DiffusionDensity(MINUTES, random_state=split.seed).fit(seen)
    return np.stack([scores.numbers(each) for each in model.impute(seen, draws=DRAWS)])


def _with_class(x: Array, table: Array) -> Array:
    """Draws of the numbers beside the class."""
    label = np.broadcast_to(table[:, -1:], (*x.shape[:2], 1))
    return np.concatenate([x, label], 2)


METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "column means": (column_means, ()),
    "nearest neighbour": (neighbour, ("scikit-learn",)),
    "Bayesian ridge, chained": (ridge, ("scikit-learn",)),
    "miceforest": (mice, ("miceforest", "lightgbm")),
    "allegory": (allegory, ("allegory",)),
}


def row(name: str, mechanism: str, method: Method, packages: tuple[str, ...]) -> Row:
    """The figures of a method on a table."""
    found, seconds = [], []
    for whole in scores.splits(name):
        split, table = holes(whole, mechanism)
        start = time.process_time()
        draws = method(split, table)
        seconds.append(time.process_time() - start)
        found.append(scored(split, np.isnan(table), draws))

    figures = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
    if "coverage" in figures:
        spread = np.std([each["coverage"] for each in found], ddof=1)
        figures["error of coverage"] = float(spread / len(found) ** 0.5)
    by = ", ".join(f"{each} {version(each)}" for each in packages)
    return {**figures, "seconds": round(float(np.mean(seconds)), 2), "by": by}


def scored(split: Split, missing: Array, draws: Array) -> dict[str, float]:
    """The figures of one filled table."""
    scaled = np.stack([split.scaled(each) for each in draws])
    errors = np.abs(scaled - split.scaled(split.train))
    test, count = split.scaled(split.test), missing.sum()
    figures = {
        "MinMAE": errors[:SCORED].sum(2).min(0).sum() / count,
        "AvgMAE": errors[:SCORED].sum((1, 2)).mean() / count,
        "W1 test": np.mean([scores.transport(test, each) for each in scaled[:SCORED]]),
        "MAE of the median": np.abs(np.median(scaled, 0) - split.scaled(split.train)).sum() / count,
    }
    if len(draws) == DRAWS:
        low, high = draws.min(0)[missing], draws.max(0)[missing]
        truth = split.train[missing]
        figures["coverage"] = np.mean((low <= truth) & (truth <= high))
        hidden = missing[:, :-1]
        figures["width"] = np.ptp(scaled, 0)[:, : hidden.shape[1]][hidden].mean()
    return figures


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", choices=SETS, default=SETS, help="all by default")
    parser.add_argument("--rows", nargs="*", choices=METHODS, help="all but allegory by default")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        for name in arguments.sets:
            for mechanism in MECHANISMS:
                for chosen in arguments.rows or [each for each in METHODS if each != "allegory"]:
                    work = partial(row, name, mechanism, *METHODS[chosen])
                    ROWS.fill(f"{name}, {mechanism}", chosen, work)
            for method, values in _PUBLISHED[name].items():
                figures = dict(zip(_PUBLISHED_KEYS, values, strict=True))
                ROWS.fill(f"{name}, MCAR", f"published: {method}", lambda figures=figures: figures)
    print(json.dumps(ROWS.read()) if arguments.json else ROWS.table())


if __name__ == "__main__":
    main()
