"""Tables with a class, split and scored as ForestDiffusion does (Jolicoeur-Martineau et al. 2024).

What their scripts do, for iris, wine and breast_cancer of scikit-learn:

- 80/20 split with the classes in proportion, seeds 0, 1, 2;
- distances are of city blocks, after the columns were scaled to [0, 1] by the training rows; three
  or more classes are one-hot, divided by 2, so that two classes are at distance 1; two are 0 and 1;
- W1 is the exact optimal transport between a table and the training or test rows, class included;
- coverage: the share of test rows that have a generated row nearer than their second-nearest test
  neighbour. (Their k is chosen as the least that covers 95 % of the rows by themselves, which any k
  does; the k that is used is one above, 2.)
- F1 is the macro mean of a logistic regression without penalty, AdaBoost, a random forest of depth
  28 and XGBoost without penalty, on unscaled columns; 0 if a class is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SETS = ("iris", "wine", "breast_cancer")
SEEDS = (0, 1, 2)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """The rows of a table with a class as its last column, in two parts.

    Args:
        name: of the table.
        train: 80 % of the rows, (n, d + 1).
        test: 20 %.
        seed: of the split.
    """

    name: str
    train: Array
    test: Array
    seed: int

    @classmethod
    def of(cls, name: str, seed: int) -> "Split":
        """The split of a table of scikit-learn by a seed."""
        from sklearn import datasets
        from sklearn.model_selection import train_test_split

        x, label = getattr(datasets, f"load_{name}")(return_X_y=True)
        table = np.column_stack([x, label]).astype(np.float64)
        train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=label)
        return cls(name, train, test, seed)

    @property
    def classes(self) -> Array:
        """The classes."""
        return np.unique(self.train[:, -1])

    def scaled(self, table: Array) -> Array:
        """A table in the units of the distances."""
        low, high = self.train[:, :-1].min(0), self.train[:, :-1].max(0)
        columns = (table[:, :-1] - low) / (high - low)
        return np.column_stack([columns, self.one_hot(table[:, -1]) / self._apart])

    def one_hot(self, label: Array) -> Array:
        """Classes as numbers: one column for two classes, one for each of more."""
        if len(self.classes) == 2:
            return label[:, None]
        return (label[:, None] == self.classes).astype(np.float64)

    @property
    def _apart(self) -> int:
        return 1 if len(self.classes) == 2 else 2

    def within(self, table: Array) -> Array:
        """A table with its numbers clipped to the range of the training rows."""
        return np.clip(table, self.train.min(0), self.train.max(0))


def splits(name: str) -> Iterator[Split]:
    """The splits of a table by all seeds."""
    return (Split.of(name, seed) for seed in SEEDS)


def frame(table: Array) -> Any:
    """A data frame with the class as text."""
    import pandas as pd

    found = pd.DataFrame(
        table[:, :-1], columns=[f"x{place}" for place in range(table.shape[1] - 1)]
    )
    return found.assign(label=[f"class {each:g}" for each in table[:, -1]])


def numbers(frame: Any) -> Array:
    """The table of such a frame."""
    label = frame["label"].astype(str).str.removeprefix("class ").astype(float)
    return np.column_stack([frame.drop(columns="label").to_numpy(np.float64), label])


def transport(a: Array, b: Array) -> float:
    """W1 between two tables of scaled rows."""
    try:
        import ot
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "optimal transport is in the package POT: pip install POT"
        ) from None

    return float(ot.emd2([], [], ot.dist(a, b, metric="cityblock"), numItermax=1_000_000))


def coverage(real: Array, fake: Array, k: int = 2) -> float:
    """The share of real rows with a fake row nearer than their k-th neighbour."""
    from scipy.spatial.distance import cdist

    own = np.sort(cdist(real, real, "cityblock"), 1)[:, k]
    return float((cdist(real, fake, "cityblock").min(1) < own).mean())


def classifiers(seed: int) -> list[Any]:
    """The four classifiers."""
    from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    return [
        LogisticRegression(C=np.inf, max_iter=500),
        AdaBoostClassifier(random_state=seed),
        RandomForestClassifier(max_depth=28, random_state=seed),
        XGBClassifier(reg_lambda=0.0, random_state=seed, n_jobs=1),
    ]


def f1(x: Array, label: Array, x_test: Array, test: Array, seed: int) -> float:
    """Macro F1 of the four classifiers on the test rows, their mean."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import LabelEncoder

    if not np.isin(test, label).all():
        return 0.0
    encoder, found = LabelEncoder().fit(label), []
    for model in classifiers(seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, encoder.transform(label))
        said = encoder.inverse_transform(model.predict(x_test))
        found.append(f1_score(test, said, average="macro"))
    return float(np.mean(found))


def use(split: Split, fake: Array, seed: int) -> float:
    """F1 of classifiers that were trained on a generated table, on the test rows."""
    test = split.test
    return f1(fake[:, :-1], fake[:, -1], test[:, :-1], test[:, -1], seed)


def telling(split: Split, fake: Array, other: Array, seed: int) -> float:
    """F1 of classifiers that tell training rows from generated ones, on another generated table."""
    real, seen, unseen = (
        np.column_stack([table[:, :-1], split.one_hot(table[:, -1])])
        for table in (split.train, fake, other)
    )
    label = np.repeat([1.0, 0.0], [len(real), len(seen)])
    return f1(np.concatenate([real, seen]), label, unseen, np.zeros(len(unseen)), seed)
