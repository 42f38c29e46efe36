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

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from ..data.table_dataset import dataset_with_held_out
from ..data.table_schema import TableSchema, table_schema
from ..evaluation.table_neighbours import Nearness
from ..lookup import check_count
from ..models.table import TableDiffusion, filled_in, rows_to_fill, rows_with
from ..progress import progress
from ..recipes.config import Run
from ..recipes.table_diffusion import TableDiffusionConfig
from .checks import checked, checked_seed, row_seeds, set_names
from .fitting import Budget, fit_table, held_out_of
from .folder import open_folder, save_folder
from .given import input_labels, joined, values_by_name, without_columns
from .scores import log_probs


class DiffusionDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """The density of the rows of a table, by a diffusion model.

    Args:
        minutes: the budget of `fit` in minutes, of all that it does; None for no limit.
        max_steps: the budget of `fit` in steps of training; None for no limit. Of both, the one
            that is spent first ends training. Without minutes, equal data and seeds give equal
            models.
        conditional: whether the density is one of X given y. Otherwise y is ignored, as by the
            other densities of scikit-learn.
        random_state: an integer, which seeds `fit` and draws; None for 0.
        model: further choices; None for the defaults of `TableDiffusionConfig`.
    """

    model_: TableDiffusion
    schema_: TableSchema
    run_: Run
    fingerprint_: str | None
    nearness_: Nearness | None

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

    def fit(
        self, X: Any, y: Any = None, kinds: Mapping[str, str] | None = None
    ) -> DiffusionDensity:
        """Learn the density of the rows of X, or of X given y.

        A tenth of the rows, from 20 to 10,000, are for validation. Training ends early where their
        loss has not fallen for 30 per cent of the budget, and what is better by them is taken: the
        trained model, or the mixture of Gaussians that it began with.

        Args:
            X: a data frame (pandas, polars, pyarrow) with columns of numbers, whole numbers,
                categories, booleans, dates and missing values, or an array (n, columns).
            y: of each row, a column or several, for `conditional`.
            kinds: the kinds of some columns by name, such as {"zip": "category"}; None takes all
                from their values. `info()` says what each was taken for.

        Returns:
            The estimator.

        Raises:
            ValueError: for a table without anything that varies, of less than two rows, or that
                does not fit into memory, for columns of no kind, and without a budget.
        """
        budget, seed = Budget(self.minutes, self.max_steps), checked_seed(self.random_state)
        table, given = joined(checked(self, X, reset=True), y, self.conditional)
        schema = table_schema(table, kinds, given)
        dataset = dataset_with_held_out(table, schema, held_out_of(len(table)))

        found = fit_table(dataset, self.model, budget, seed)
        for note in (*schema.notes, *found.notes):
            warnings.warn(note, stacklevel=2)

        self.model_, self.run_, self.schema_ = found.model, found.run, schema
        self.n_steps_, self.is_trained_ = found.steps, found.is_trained
        self.fingerprint_, self.nearness_ = dataset.fingerprint, found.nearness
        return self

    def score_samples(self, X: Any, y: Any = None) -> Float64[NDArray[Any], " n"]:
        """log p of each row in nats, or log p(x | y): exact for rows of numbers, else its bound.

        A number has a density in the unit of its column, a whole number, a category and a missing
        value a probability; `exact_` says whether there are numbers alone. A row has the same value
        alone and in any table: its noise is drawn from the row itself.

        Args:
            X: rows with the columns of `fit`, in any order.
            y: of each row, for `conditional`.

        Raises:
            ValueError: for other columns, and values that no row of `fit` could have.
        """
        rows = torch.from_numpy(self.schema_.rows(self._table(X, y)))
        scores: NDArray[Any] = log_probs(self.model_, rows).numpy()
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
            given: values of some columns by name, one for all rows or one for each, which the rows
                then have; for `conditional` also y itself.
            random_state: an integer that seeds the draws; None for that of the estimator.

        Raises:
            ValueError: for unknown columns and values, and for `conditional` without y.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples, 1, 2**31)
        seeds = row_seeds(n_samples, "sample", self._state(random_state))
        rows = rows_with(self.schema_, values_by_name(self.schema_, given), n_samples)

        with progress() as show:
            found = self.model_.infill(
                rows.x, rows.known, seeds, on_step=lambda done, total: show("samples", done, total)
            )
        return without_columns(self.schema_.frame(found), self.schema_)

    def impute(
        self, X: Any, draws: int = 1, random_state: int | None = None, y: Any = None
    ) -> list[Any]:
        """Tables without missing values: each drawn from p(missing values | the values present).

        Args:
            X: rows with the columns of `fit`; any value may be missing, also in columns that had
                none.
            draws: how many tables.
            random_state: an integer that seeds the draws; None for that of the estimator.
            y: of each row, for `conditional`.

        Returns:
            `draws` tables like X.

        Raises:
            ValueError: for other columns, and values that no row of `fit` could have.
        """
        table = self._table(X, y)
        check_count("draws", draws, 1, 10_000)
        rows, state = rows_to_fill(self.schema_, table), self._state(random_state)
        tables = []

        with progress() as show:
            for draw in range(draws):
                show("imputed tables", draw, draws)
                found = filled_in(self.model_, rows, row_seeds(len(rows), "impute", state, draw))
                tables.append(without_columns(self.schema_.frame(found), self.schema_))
        return tables

    def info(self) -> list[str]:
        """What each column was taken for, in a line each, and what may surprise of it."""
        check_is_fitted(self)
        return [*map(str, self.schema_.columns), *self.schema_.notes]

    def save(self, folder: str | Path) -> Path:
        """Write a run folder, which `DiffusionDensity.open`, `allegory.open` and the command line
        read; it holds no pickle.

        Args:
            folder: where; it must be new or empty.

        Raises:
            ValueError: for a folder that holds something.
        """
        check_is_fitted(self)
        return save_folder(Path(folder), self.model_, self.run_, self.fingerprint_)

    @classmethod
    def open(cls, folder: str | Path) -> DiffusionDensity:
        """The estimator in a run folder of a table, from `save` or `allegory fit`.

        Args:
            folder: the run folder.

        Raises:
            ValueError: for a folder that holds no model of a table.
        """
        model, run, fingerprint = open_folder(Path(folder))
        schema = model.spec.table
        assert schema is not None, "a model of a table has columns"
        own = run.training
        made = cls(own.minutes, own.steps, conditional=bool(schema.given), random_state=own.seed)
        made.model_, made.schema_, made.run_ = model, schema, run
        made.fingerprint_, made.nearness_ = fingerprint, None
        set_names(made, input_labels(schema))

        return made

    @property
    def exact_(self) -> bool:
        """Whether `score_samples` is exact: rows of numbers alone."""
        check_is_fitted(self)
        return self.model_.exact

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: missing values are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _table(self, X: Any, y: Any) -> Any:
        """A table, with the columns of y for a conditional density."""
        check_is_fitted(self)
        table = checked(self, X, reset=False)
        return joined(table, y, self.conditional, self.schema_.given)[0]

    def _state(self, random_state: Any) -> int:
        """The seed of draws."""
        return checked_seed(self.random_state if random_state is None else random_state)
