"""The command `allegory impute`: the missing values of a table, drawn by a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from .options import RunOptions, optional

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..data.table_schema import TableSchema
    from ..models.base import HasRows
    from ..models.table import PartialRows

_MOST_DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Impute(RunOptions):
    """Fill in the missing values of a table: draws of p(missing | present), by a run of `fit`.

    Several draws show how uncertain the values are: compute what you are after on each table, and
    take the mean and the standard deviation of the results (multiple imputation, Rubin 1987).
    """

    table: Annotated[str, arg(metavar="TABLE")]
    """A .csv, .parquet or .jsonl file with the columns of the fit, in any order. Any value may be
    missing, in columns that had none missing too, but for those of fit --given.
    """
    out: Annotated[str | None, optional("FILE")] = None
    """File to write, .csv, .parquet or .jsonl: all rows and columns of TABLE in their order; the
    values that are there stay as they are. It is required.
    """
    draws: int = 1
    """How many tables; several are written to FILE with -1, -2, ... before its suffix."""
    seed: int = 0
    """Seed of the draws."""
    steps: Annotated[int | None, optional("INT")] = None
    """Steps of the sampler, 100 by default."""
    overwrite: bool = False
    """Replace the files if they exist."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Fill in the missing values, and write the tables."""
        from ..data.table_files import frame_of
        from ..lookup import check_count, printable
        from ..models.base import HasRows
        from ..models.table import rows_to_fill
        from ..progress import progress
        from . import tables
        from .sample_rows import row_sampler
        from .table_rows import table_schema_of

        check_count("--draws", self.draws, 1, _MOST_DRAWS)
        check_count("--seed", self.seed, 0, 2**30)
        files = self._files()

        folder, model = self.open()
        schema = table_schema_of(folder, "impute")
        assert isinstance(model, HasRows), "a run of a table has a model of rows"

        frame = frame_of(self.table)
        others = [name for name in frame.column_names if name not in schema.names]
        is_whole = {*schema.names} <= {*frame.column_names}
        try:
            rows = rows_to_fill(schema, frame.select(schema.names) if is_whole else frame)
        except ValueError as error:
            raise ValueError(f"TABLE {printable(self.table)}: {error}") from None
        if others:
            shown = ", ".join(map(printable, others[:12]))
            tables.remark(f"columns that were not there at fit are copied: {shown}")

        sampler = row_sampler(model, self.steps)
        with progress() as on_progress:
            drawn = _Imputed(model, schema, rows, frame)
            for draw, file in enumerate(files):
                first = self.seed * 2**32 + draw * len(rows)
                on_step = _counted(on_progress, draw, len(files))
                drawn.write(file, range(first, first + len(rows)), sampler, on_step)
        missing = int((~rows.known).sum())
        figures = {"rows": len(rows), "missing values": missing, "draws": self.draws}
        names: Any = [str(file) for file in files]
        shown = names if self.json else ", ".join(names[:3]) + ", ..." * (len(names) > 3)
        tables.show(self.json, figures | {"files": shown})

    def _files(self) -> list[Path]:
        """The files. ValueError for those that cannot be written."""
        from ..data.table_output import check_table_name
        from .files import free_file

        if self.out is None:
            raise ValueError("--out: give a file, such as --out filled.csv")

        out = check_table_name(self.out)
        names = [out]
        if self.draws > 1:
            names = [out.with_stem(f"{out.stem}-{draw + 1}") for draw in range(self.draws)]
        return [free_file(str(name), self.overwrite, "--out") for name in names]


@dataclass(frozen=True, eq=False)
class _Imputed:
    """A table and its rows, whose missing values are drawn.

    Args:
        model: the model.
        schema: the columns.
        rows: of the table.
        frame: the table.
    """

    model: HasRows
    schema: TableSchema
    rows: PartialRows
    frame: Any

    def write(
        self, file: Path, seeds: range, sampler: Any, on_step: Callable[[int, int], None]
    ) -> None:
        """Draw the missing values, and write the table.

        Args:
            file: where it is written.
            seeds: one for each row.
            sampler: how they are drawn.
            on_step: called as on_step(done, total).
        """
        from ..models.table import filled_in
        from .table_rows import frame_of_rows, save_frame

        filled = filled_in(self.model, self.rows, seeds, sampler, on_step)
        save_frame(file, _completed(self.frame, frame_of_rows(self.schema, filled)))


def _completed(frame: Any, drawn: Any) -> Any:
    """A table with its own values, and those of another where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {}

    for name in frame.column_names:
        own = frame.column(name)
        is_missing = own.is_null(nan_is_null=True)
        is_drawn = name in drawn.column_names and pc.any(is_missing).as_py()
        columns[name] = _filled(own, drawn.column(name), is_missing) if is_drawn else own

    return pa.table(columns)


def _filled(own: Any, drawn: Any, is_missing: Any) -> Any:
    """A column with drawn values where its own are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [
        each.cast(each.type.value_type) if pa.types.is_dictionary(each.type) else each
        for each in (own, drawn)
    ]
    kind = parts[0].type if pa.types.is_floating(parts[0].type) else parts[1].type
    first, second = (part.cast(kind).combine_chunks() for part in parts)
    filled = pc.if_else(is_missing.combine_chunks(), second, first)
    return filled.dictionary_encode() if pa.types.is_dictionary(own.type) else filled


def _counted(on_progress: Any, draw: int, draws: int) -> Callable[[int, int], None]:
    """on_step(done, total) of one of several draws, as progress of all."""
    return lambda done, total: on_progress("imputing", draw * total + done, draws * total)
