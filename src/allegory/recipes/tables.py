"""Rows of a table with mixed columns and missing values."""

from __future__ import annotations

import math

from ..data.places import parted
from ..training import TrainingConfig
from .config import Run
from .registry import recipe
from .table_diffusion import FITTING, TableDiffusionConfig

SOURCE = "table:"
"""What the source of such rows begins with."""

_BATCH = 256
_MINUTES = 2.0
_PATIENCE = 0.3
_MANY = 10_000
"""Rows from which on training goes on to the end of its budget, where the learning rate is 0: what
the last steps gain is more than what a validation loss, which is noisy, shows before.
"""


@recipe
def table(data: str) -> Run:
    """A diffusion model of rows: numbers, categories, dates and missing values, in two minutes.

    Gaussian noise for numbers, masks for categories, one bound for both; what it should reach
    depends on the data. `allegory fit TABLE` trains the same model, and says more of the columns.

    Args:
        data: a .csv, .parquet or .jsonl file, with ?kinds=zip:category and ?given=y as options.
    """
    source = data if data.startswith(SOURCE) else SOURCE + data
    return table_run(source, _MINUTES)


def table_run(source: str, minutes: float | None, steps: int | None = None, rows: int = 0) -> Run:
    """The run of a model of the rows of a table, with the choices that its budget allows.

    Args:
        source: of the rows, such as "table:people.csv?given=age".
        minutes: the budget in minutes; None for no limit of time, with which the run depends on
            the data and the seed alone.
        steps: the budget in optimizer steps; None for no limit.
        rows: for training; 0 where they are not counted yet.
    """
    training = table_training(minutes, steps, rows)
    return Run("table", source, table_choice(minutes), training)


def table_training(minutes: float | None, steps: int | None, rows: int = 0) -> TrainingConfig:
    """How a model of rows is trained after its transforms and its mixture have been fitted.

    Args:
        minutes: the budget for both in minutes; None for no limit.
        steps: the budget in optimizer steps; None for no limit.
        rows: for training; 0 where they are not counted yet.

    Raises:
        ValueError: for minutes that are not above 0.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"minutes={minutes}: give a number above 0")

    return TrainingConfig(
        steps=steps,
        minutes=None if minutes is None else minutes * (1 - FITTING),
        batch_size=min(_BATCH, rows) if rows else _BATCH,
        learning_rate=2e-3,
        weight_decay=0.3,
        ema=0.999,
        patience=_PATIENCE if rows < _MANY else None,
    )


def table_choice(minutes: float | None) -> TableDiffusionConfig:
    """The default choices of a model of rows.

    Args:
        minutes: the budget; without one, no choice depends on the clock.
    """
    return TableDiffusionConfig().within(minutes)


def table_source(path: str, kinds: str | None = None, given: str | None = None) -> str:
    """The source of the rows of a table.

    Args:
        path: of the file; options may follow it.
        kinds: the kinds of some columns, NAME:KIND with commas between them; None for none.
        given: names of columns that are always known, with commas between them; None for none.
    """
    chosen = {"kinds": kinds, "given": given}
    options = [
        f"{name}={value.replace('&', '%26')}" for name, value in chosen.items() if value is not None
    ]

    source = path if path.startswith(SOURCE) else SOURCE + path
    if not options:
        return source
    mark = "&" if parted(path.removeprefix(SOURCE))[1] else "?"
    return source + mark + "&".join(options)
