r"""Densities of tables in scikit-learn's manner.

    density = DiffusionDensity(minutes=2).fit(frame)
    density.score_samples(frame)        log p of each row in nats, in the units of its columns
    density.sample(1000)                rows like those of the frame
    density.sample(10, given={"species": "Gentoo"})
    density.impute(frame, draws=5)      the missing values, drawn from p(missing | present)

The model is a diffusion model of rows (`allegory.models.table`): Gaussian noise for numbers, masks
for categories, one bound for both. A table of numbers alone has an exact density, by the
probability-flow ODE.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from ..data import Dataset
from ..data.table_dataset import dataset_of_table
from ..data.table_schema import TableSchema, table_schema
from ..lookup import check_count
from ..models.table import TableDiffusion
from ..recipes.config import Run
from ..recipes.execute import Built, train_in
from ..recipes.run_folder import RunFolder
from ..recipes.table_diffusion import TableDiffusionConfig
from ..training import Processes, TrainingConfig, bar
from ..training.checkpoint import BEST, write_weights
from .given import given_rows, with_columns, without_columns

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "allegory.estimator needs scikit-learn; install it by pip install 'allegory[tables]'"
    ) from error

_DRAWS = 256
"""Of the bound of a row, in `score_samples`."""
_SCORED = 500
"""Whose likelihood is computed at once."""
_BATCH = 256
_LEAST_HELD_OUT = 20
_FITTING = 0.2
"""The fraction of the time in which transforms and mixture are fitted."""


class DiffusionDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """The density of the rows of a table, by a diffusion model.

    Args:
        minutes: the budget of `fit` in minutes; None for no limit.
        max_steps: the budget of `fit` in steps; None for no limit.
        conditional: whether the density is one of X given y. Otherwise y is ignored, as by the
            other densities of scikit-learn.
        random_state: an integer, which seeds `fit` and `sample`; None for 0.
        model: further choices; None for the defaults of `TableDiffusionConfig`.
    """

    model_: TableDiffusion
    schema_: TableSchema
    run_: Run
    fingerprint_: str

    def __init__(
        self,
        minutes: float | None = 2.0,
        max_steps: int | None = None,
        *,
        conditional: bool = False,
        random_state: int | None = None,
        model: TableDiffusionConfig | None = None,
    ) -> None:
        self.minutes = minutes
        self.max_steps = max_steps
        self.conditional = conditional
        self.random_state = random_state
        self.model = model

    def fit(self, X: Any, y: Any = None, kinds: Mapping[str, str] | None = None) -> Self:
        """Learn the density of the rows of X, or of X given y.

        Args:
            X: a data frame (pandas, polars, pyarrow) with columns of numbers, whole numbers,
                categories, booleans, dates and missing values, or an array (n, columns).
            y: of each row, a column or several, for `conditional`.
            kinds: the kinds of some columns by name, such as {"zip": "category"}; None takes all
                from their values. `info()` says what each was taken for.

        Returns:
            The estimator.

        Raises:
            ValueError: for a table without rows or without anything that varies, and columns of no
                kind.
        """
        frame, given = self._joined(self._checked(X, reset=True), y, fit=True)
        schema = table_schema(frame, kinds, given)
        for note in schema.notes:
            warnings.warn(note, stacklevel=2)

        dataset = dataset_of_table(frame, schema, split=_split(len(X)))
        self._fit(dataset, schema)
        return self

    def _fit(self, dataset: Dataset, schema: TableSchema) -> None:
        """Train a model of a data set."""
        seed = self.random_state or 0
        size = min(_BATCH, len(dataset.train))
        training = TrainingConfig(
            steps=self.max_steps,
            minutes=None if self.minutes is None else self.minutes * (1 - _FITTING),
            batch_size=size,
            learning_rate=2e-3,
            ema=0.999,
            seed=seed,
            device="cpu",
        )
        choice = self.model or _choice(self.minutes)
        run = Run("table", "", choice, training).resolved(dataset)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = run.build_model(dataset)

        with bar(run.unit) as show:
            result = train_in(None, Built(run, model, dataset), Processes("cpu"), [show])
        model.load_state_dict(result.best.state_dict())

        self.model_, self.schema_, self.run_ = cast(TableDiffusion, model), schema, run
        self.model_.double().eval()
        self.fingerprint_ = dataset.fingerprint
        self.n_steps_ = result.step

    def score_samples(self, X: Any, y: Any = None) -> Float64[NDArray[Any], " n"]:
        """log p of each row in nats, or log p(x | y): exact for rows of numbers, else its bound.

        A number has a density in the unit of its column, a whole number, a category and a missing
        value a probability; `exact_` says whether there are numbers alone. A row has the same value
        alone and in any table: its noise is drawn from the row itself.

        Args:
            X: rows with the columns of `fit`, in any order.
            y: of each row, for `conditional`.
        """
        check_is_fitted(self)
        rows = torch.from_numpy(self._rows(X, y))
        seeds = [_seed_of(row) for row in rows]
        parts = []
        for start in range(0, len(rows), _SCORED):
            part, own = rows[start : start + _SCORED], seeds[start : start + _SCORED]
            if self.model_.exact:
                parts.append(self.model_.log_prob(part, seeds=own))
            else:
                parts.append(self.model_.bound(part, seeds=own, draws=_DRAWS).total)

        scores: NDArray[Any] = torch.cat(parts).double().numpy()
        return scores

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`.

        Args:
            X: rows with the columns of `fit`.
            y: of each row, for `conditional`.
        """
        return float(self.score_samples(X, y).mean())

    def sample(self, n_samples: int = 1, given: Any = None, random_state: int | None = None) -> Any:
        """Rows drawn from the density, as a table like that of `fit`.

        Args:
            n_samples: how many.
            given: values of some columns by name, which the rows then have; for `conditional` also
                y itself, one for all rows or one for each.
            random_state: an integer that seeds the draws; None for that of the estimator.

        Raises:
            ValueError: for unknown columns and values, and for `conditional` without y.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples, 1, 2**31)
        state = self.random_state if random_state is None else random_state
        first = (state or 0) * 2**32
        seeds = range(first, first + n_samples)
        rows, known = self._given(given, n_samples)

        return self._frame(self.model_.infill(rows, known, seeds))

    def impute(self, X: Any, draws: int = 1, random_state: int | None = None) -> list[Any]:
        """Tables without missing values: each drawn from p(missing values | the values present).

        Args:
            X: rows with the columns of `fit`; any value may be missing, also in columns that had
                none.
            draws: how many tables.
            random_state: an integer that seeds the draws; None for that of the estimator.

        Returns:
            `draws` tables like X.
        """
        check_is_fitted(self)
        check_count("draws", draws, 1, 10_000)
        frame = self._checked(X, reset=False)
        rows = torch.from_numpy(self.schema_.rows(frame, allow_missing=True))
        known = torch.from_numpy(self.schema_.known(frame).copy())
        first = len(self.schema_.entries) - sum(
            self.schema_.column(name).missing for name in self.schema_.numbers
        )
        known[:, first:] = True  # what is imputed is a number

        state = self.random_state if random_state is None else random_state
        tables = []
        for draw in range(draws):
            begin = (state or 0) * 2**32 + draw * len(rows)
            filled = self.model_.infill(rows, known, range(begin, begin + len(rows)))
            tables.append(self._frame(filled))
        return tables

    def info(self) -> list[str]:
        """What each column was taken for, in a line each, and what may surprise of it."""
        check_is_fitted(self)
        return [*map(str, self.schema_.columns), *self.schema_.notes]

    def save(self, folder: str | Path) -> Path:
        """Write a run folder, which `DiffusionDensity.open` and the command line read.

        Args:
            folder: where; it must be new or empty.

        Raises:
            ValueError: for a folder that holds something.
        """
        check_is_fitted(self)
        path = Path(folder)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"folder={str(folder)!r}: exists already; give a new one")
        RunFolder.create(path, self.run_, self.model_.spec, self.fingerprint_)
        write_weights(path / BEST, self.model_.state_dict())

        return path

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The estimator in a run folder of a table, from `save` or `allegory fit`.

        Args:
            folder: the run folder.

        Raises:
            ValueError: for a folder that holds no model of a table.
        """
        run = RunFolder.open(Path(folder))
        if run.spec.table is None or not isinstance(run.run.model, TableDiffusionConfig):
            raise ValueError(f"folder={str(folder)!r}: holds no model of a table")
        training, schema = run.run.training, run.spec.table
        made = cls(training.minutes, training.steps, conditional=bool(schema.given))
        made.model_, made.schema_, made.run_ = run.model().double().eval(), schema, run.run
        made.fingerprint_ = run.fingerprint or ""
        made.n_features_in_ = len(schema.columns) - len(schema.given)

        return made

    @property
    def exact_(self) -> bool:
        """Whether `score_samples` is exact: rows of numbers alone."""
        return bool(self.model_.exact)

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: missing values are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """A table as it is, or an array that scikit-learn has checked."""
        if hasattr(X, "columns") or getattr(getattr(X, "dtype", None), "names", None):
            if reset:
                self.n_features_in_ = len(X.columns if hasattr(X, "columns") else X.dtype.names)
            return X
        return validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            ensure_all_finite="allow-nan",
            ensure_min_samples=2 if reset else 1,
        )

    def _joined(self, frame: Any, y: Any, *, fit: bool) -> tuple[Any, tuple[str, ...]]:
        """X with the columns of y, and their names."""
        if not self.conditional:
            return frame, ()
        if y is None:
            raise ValueError("y=None: this density is conditional; give y of each row")
        return with_columns(frame, y)

    def _rows(self, X: Any, y: Any) -> Float64[NDArray[Any], "n dims"]:
        """The rows of a table."""
        frame, _ = self._joined(self._checked(X, reset=False), y, fit=False)
        return self.schema_.rows(frame)

    def _given(self, given: Any, count: int) -> tuple[Tensor, Tensor]:
        """Rows with the values that are given, and where they are."""
        rows = torch.zeros(count, self.schema_.dims, dtype=torch.float64)
        known = torch.zeros(count, self.schema_.dims, dtype=torch.bool)
        if given is None and not self.schema_.given:
            return rows, known
        return given_rows(self.schema_, given, count)

    def _frame(self, rows: Tensor) -> Any:
        """The table of rows, without the columns of y."""
        return without_columns(self.schema_.frame(rows), self.schema_)


def _choice(minutes: float | None) -> TableDiffusionConfig:
    """The default choices; without a budget of time, none of them depends on the clock."""
    if minutes is None:
        return TableDiffusionConfig(seconds=math.inf, most_components=8)
    return TableDiffusionConfig(seconds=60 * minutes * _FITTING)


def _seed_of(row: Tensor) -> int:
    """A seed that depends on the numbers of a row alone."""
    return int.from_bytes(hashlib.blake2b(row.numpy().tobytes(), digest_size=7).digest(), "big")


def _split(count: int) -> tuple[float, float, float]:
    """Fractions for training and validation; 20 to 10,000 rows are for validation."""
    held_out = min(max(_LEAST_HELD_OUT, count // 10), 10_000, count // 3)
    return (1 - held_out / count, held_out / count, 0.0)
