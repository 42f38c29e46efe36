"""Generated tables of iris, wine and breast_cancer beside published figures.

    pip install -c constraints.txt scikit-learn POT xgboost
    OMP_NUM_THREADS=1 python -m benchmarks.table_generation
    OMP_NUM_THREADS=1 python -m benchmarks.table_generation --rows allegory
    python -m benchmarks.table_generation --table

The protocol is that of ForestDiffusion (Jolicoeur-Martineau, Fatras, Kachman 2024), described in
`benchmarks.table_scores`: three splits, five generated tables of the size of the training part with
the class as a column.

- W1 train, W1 test: W1 of a generated table to the training and to the test rows. W1 test below
  that of the training rows themselves is the aim; W1 train far below W1 test is memory;
- coverage: of the test rows;
- F1: of four classifiers trained on generated rows, on the test rows;
- telling: F1 of the four in telling generated rows from training rows, on another generated table:
  0.33 is chance, lower is better. Not of the training rows themselves.

Means over splits and tables, each classifier with one seed; their scripts average five. The error
is over the three splits, which all methods share. Seconds are of one core, for fit and five tables.
Classes are drawn with their frequencies in the training rows, and numbers are clipped to the range
of the training rows, as ForestDiffusion does for its own.

Rivals that run: the training rows; SMOTE (between a row and one of its five nearest of the same
class, Chawla et al. 2002); a Gaussian mixture for each class with the number of components by BIC.
Rows that are named "published" were not run here: they are from the repository
SamsungSAILMontreal/ForestDiffusion, `Results/Results_tabular - generation.csv`, rounded, seconds of
their machine.

Each row is saved at once, and a run computes those that are missing.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from . import table_scores as scores
from .rows import Row, Rows
from .table_scores import SETS, Array, Split

ON_REQUEST = True
ROWS = Rows(Path(__file__).parent / "results" / "table_generation.json")
TABLES = 5
MINUTES = 1.0  # of ours, for each fit
Method = Callable[[Split], list[Array]]

_PUBLISHED_KEYS = ("W1 train", "W1 test", "coverage", "F1", "telling", "seconds")
_PUBLISHED = {
    "iris": {
        "training rows": (0.0, 0.236, 0.93, 0.972, 0.83, None),
        "TabDDPM": (0.193, 0.329, 0.92, 0.966, 0.374, 226),
        "Forest-flow": (0.197, 0.328, 0.93, 0.976, 0.378, 12),
        "Forest-VP": (0.237, 0.333, 0.94, 0.971, 0.370, 13),
        "TVAE": (0.448, 0.485, 0.81, 0.896, 0.382, 3),
        "CTGAN": (1.05, 1.07, 0.23, 0.401, 0.452, 10),
    },
    "wine": {
        "training rows": (0.0, 1.44, 0.94, 0.956, 0.83, None),
        "TabDDPM": (0.712, 1.53, 0.91, 0.929, 0.295, 226),
        "Forest-flow": (0.845, 1.42, 0.95, 0.944, 0.322, 68),
        "Forest-VP": (0.957, 1.43, 0.95, 0.913, 0.320, 71),
        "TVAE": (1.59, 1.79, 0.75, 0.914, 0.395, 6),
        "CTGAN": (2.74, 2.92, 0.09, 0.422, 0.466, 12),
    },
    "breast_cancer": {
        "training rows": (0.0, 1.85, 0.97, 0.961, 0.83, None),
        "TabDDPM": (3.02, 3.44, 0.95, 0.943, 0.330, 227),
        "Forest-flow": (1.28, 1.75, 0.98, 0.944, 0.361, 255),
        "Forest-VP": (1.46, 1.85, 0.92, 0.948, 0.359, 266),
        "TVAE": (2.35, 2.47, 0.30, 0.914, 0.447, 14),
        "CTGAN": (4.48, 4.60, 0.00, 0.640, 0.526, 19),
    },
}


def training_rows(split: Split) -> list[Array]:
    """The training rows themselves."""
    return [split.train] * TABLES


def _drawn(split: Split, rows: Callable[[float, int], Array]) -> list[Array]:
    """Tables of drawn classes, with rows(class, how many) of each class."""
    rng, tables = np.random.default_rng(split.seed), []
    for _ in range(TABLES):
        label = np.sort(rng.choice(split.train[:, -1], len(split.train)))
        counts = zip(*np.unique(label, return_counts=True), strict=True)
        x = np.concatenate([rows(each, int(count)) for each, count in counts])
        tables.append(split.within(np.column_stack([x, label])))
    return tables


def _of_class(split: Split, label: float) -> Array:
    """The training rows of a class, without it."""
    return split.train[split.train[:, -1] == label, :-1]


def smote(split: Split) -> list[Array]:
    """Points between a row and one of its five nearest of the same class."""
    from scipy.spatial.distance import cdist

    rng, std = np.random.default_rng(split.seed + 100), split.train[:, :-1].std(0)

    def rows(label: float, count: int) -> Array:
        x = _of_class(split, label)
        nearest = np.argsort(cdist(x / std, x / std), 1)[:, 1:6]
        start = rng.integers(len(x), size=count)
        end = nearest[start, rng.integers(5, size=count)]
        return x[start] + rng.random((count, 1)) * (x[end] - x[start])

    return _drawn(split, rows)


def mixtures(split: Split) -> list[Array]:
    """A Gaussian mixture for each class, of 1 to 4 components by BIC."""
    from sklearn.mixture import GaussianMixture

    std, best = split.train[:, :-1].std(0), {}
    for label in split.classes:
        x = _of_class(split, label) / std
        tried = [GaussianMixture(k, reg_covar=1e-4, random_state=0).fit(x) for k in range(1, 5)]
        best[label] = min(tried, key=lambda model, x=x: model.bic(x))
        best[label].set_params(random_state=np.random.RandomState(split.seed))

    return _drawn(split, lambda label, count: best[label].sample(count)[0] * std)


def allegory(split: Split) -> list[Array]:
    """Ours, with its defaults, of a frame whose class is a category."""
    from allegory.estimator import DiffusionDensity

    model = DiffusionDensity(MINUTES, random_state=split.seed).fit(scores.frame(split.train))
    found = scores.numbers(model.sample(TABLES * len(split.train), random_state=split.seed))
    return np.split(split.within(found), TABLES)


METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "training rows": (training_rows, ()),
    "SMOTE": (smote, ()),
    "mixture per class": (mixtures, ("scikit-learn",)),
    "allegory": (allegory, ("allegory",)),
}


def row(name: str, method: Method, packages: tuple[str, ...]) -> Row:
    """The figures of a method on a table."""
    found, seconds = [], []
    for split in scores.splits(name):
        start = time.process_time()
        tables = method(split)
        seconds.append(time.process_time() - start)
        found.append(np.mean([scored(split, tables, place) for place in range(TABLES)], 0))

    means: Row = dict(zip(_PUBLISHED_KEYS[:5], np.mean(found, 0).tolist(), strict=True))
    if method is training_rows:
        means["telling"] = None
    judges = ("scikit-learn", "xgboost", "POT")
    return {
        **means,
        "seconds": round(float(np.mean(seconds)), 2),
        "error of W1 test": float(np.std(found, 0, ddof=1)[1] / len(found) ** 0.5),
        "by": ", ".join(f"{each} {version(each)}" for each in packages),
        "judged by": ", ".join(f"{each} {version(each)}" for each in judges),
    }


def scored(split: Split, tables: list[Array], place: int) -> list[float]:
    """The five figures of one generated table."""
    fake, other = tables[place], tables[(place + 1) % TABLES]
    train, test, near = (split.scaled(each) for each in (split.train, split.test, fake))
    return [
        scores.transport(train, near),
        scores.transport(test, near),
        scores.coverage(test, near),
        scores.use(split, fake, place),
        0.0 if fake is split.train else scores.telling(split, fake, other, place),
    ]


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
            for chosen in arguments.rows or [each for each in METHODS if each != "allegory"]:
                ROWS.fill(name, chosen, partial(row, name, *METHODS[chosen]))
            for method, values in _PUBLISHED[name].items():
                figures = dict(zip(_PUBLISHED_KEYS, values, strict=True))
                ROWS.fill(name, f"published: {method}", lambda figures=figures: figures)
    print(json.dumps(ROWS.read()) if arguments.json else ROWS.table())


if __name__ == "__main__":
    main()
