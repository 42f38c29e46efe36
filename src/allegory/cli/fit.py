"""The command `allegory fit`: a diffusion model of the rows of a table."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from . import tables
from .options import optional
from .train_report import device_line, printed_once, remarks, validation_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data import Dataset
    from ..data.table_schema import TableSchema
    from ..recipes import Destination, Run

_MINUTES = 2.0


@dataclass(frozen=True)
class Fit:
    """Fit the density of the rows of a table: numbers, categories, dates, missing values.

    Says what each column was taken for, and trains a diffusion model into a run folder. Then
    `allegory sample` draws rows, also with some columns fixed, `allegory impute` fills in what is
    missing, and `allegory evaluate` says how good the model is.
    """

    table: Annotated[str, arg(metavar="TABLE")]
    """A .csv, .parquet or .jsonl file; the types of columns are taken from their values."""
    out: Annotated[str | None, optional("RUN")] = None
    """Run folder (runs/NAME of the table if not given)."""
    minutes: Annotated[float | None, optional("FLOAT")] = None
    """Fit for so many minutes, 2 by default."""
    steps: Annotated[int | None, optional("INT")] = None
    """Train for so many steps instead; without --minutes such a run is reproducible bit for bit,
    with the same number of threads. With --minutes too, what is spent first ends it.
    """
    seed: Annotated[int | None, optional("INT")] = None
    """Seed of weights, order of the rows and noise; 0 by default."""
    kinds: Annotated[str | None, optional("NAME:KIND,...")] = None
    """Kinds of some columns instead of those that their values suggest, as in zip:category,
    day:date: number, whole, category, boolean or date. A comma in a name is written %2C.
    """
    given: Annotated[str | None, optional("NAME,...")] = None
    """Columns that are always known, the y of p(x | y); by default none."""
    device: Annotated[str | None, optional("NAME")] = None
    """auto (a GPU if there is one; the default), cpu, cuda, cuda:1, ..."""
    resume: bool = False
    """Go on with the run in --out from its last checkpoint; --minutes or --steps are its whole
    budget.
    """
    overwrite: bool = False
    """Replace the run in --out."""
    json: bool = False
    """Print columns and figures as JSON."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.out or f"runs/{Path(self.table).stem}")

    def run(self) -> None:
        """Fit, and print columns and figures."""
        from ..data import load
        from ..progress import progress
        from ..recipes import Destination
        from ..recipes.tables import table_source

        out = Destination(self.folder, self.resume, self.overwrite)
        out.check()
        source = table_source(self.table, self.kinds, self.given)
        with progress() as on_progress, _without_notes():
            on_progress("reading the table", 0, 1)
            dataset = load(source)
            on_progress("reading the table", 1, 1)

        run = self._run(dataset)
        schema = dataset.spec.table
        assert schema is not None, "the source is a table"
        if not self.json:
            show_columns(schema, dataset.notes)
        self._train(run, out, {"columns": schema.describe(), "notes": list(dataset.notes)})

    def _run(self, dataset: Dataset) -> Run:
        """The run, or the one in the folder with another budget."""
        from ..recipes.tables import table_run
        from .train import with_budget

        if self.resume:
            run = with_budget(self._begun(dataset), self.minutes, self.steps)
        else:
            is_open = self.minutes is None and self.steps is None
            minutes = _MINUTES if is_open else self.minutes
            run = table_run(dataset.source, minutes, self.steps, len(dataset.train))

        given = {"seed": self.seed, "device": self.device}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        return replace(run, training=replace(run.training, **changes))

    def _begun(self, dataset: Dataset) -> Run:
        """The run in the folder. ValueError for one of no table, of other columns or seed."""
        from ..recipes import RunFolder

        begun = RunFolder.open(self.folder)
        began, now = begun.spec.table, dataset.spec.table
        if began is None:
            raise ValueError(
                f"--resume: {self.folder} is a run of the recipe {begun.run.recipe}, of no table; "
                "give another --out"
            )

        seed = begun.run.training.seed
        if self.seed is not None and self.seed != seed:
            raise ValueError(
                f"--seed {self.seed}: {self.folder} was begun with {seed}; give that, or another "
                "--out"
            )

        if began != now:
            raise ValueError(
                f"--resume: {self.folder} was begun with other columns, kinds or given columns; "
                "give --kinds and --given as then, or another --out"
            )
        return replace(begun.run, source=dataset.source)

    def _train(self, run: Run, out: Destination, about: dict[str, object]) -> None:
        """Train, and print the figures."""
        from ..recipes import execute
        from ..training import bar

        with bar(run.unit) as show, _without_notes():
            shown = [printed_once(device_line(run.training)), show]
            folder, result = execute(run, out, callbacks=shown)

        figures: dict[str, object] = {
            "run": str(folder.path),
            "steps": result.step,
            "rows seen": result.images,
            "seconds": result.seconds,
            "loss": result.loss,
            "unit": run.unit,
            **validation_figures(result),
        }
        if self.json:
            print(json.dumps(about | figures, indent=2))
        else:
            tables.show(False, figures)
        command = f"allegory fit {self.table} --out {folder.path}"
        for line in remarks(run, run.training, result, command):
            tables.remark(line)
        tables.note(self.json, f"next: allegory evaluate {folder.path}")


def show_columns(schema: TableSchema, notes: tuple[str, ...]) -> None:
    """Print what each column was taken for, and what may surprise of it.

    Args:
        schema: the columns.
        notes: on the table, a sentence each.
    """
    from rich.markup import escape
    from rich.table import Table

    from ..lookup import printable

    shown = Table(title=escape(str(schema)), title_justify="left")
    for head in ("column", "taken for"):
        shown.add_column(head)
    for column in schema.columns:
        given = ", given" if column.name in schema.given else ""
        shown.add_row(escape(printable(column.name)), escape(column.summary + given))
    tables.console().print(shown)

    for note in notes:
        tables.note(False, f"note: {printable(note)}")


@contextmanager
def _without_notes() -> Iterator[None]:
    """Inside the block, notes on the data are not printed: they are below the columns."""
    from ..lookup import Note

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)
        yield
