"""`allegory sample` of a run of a table: rows, also with some columns fixed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tables
from .options import seed_range

if TYPE_CHECKING:
    from ..models.base import HasRows
    from ..recipes import RunFolder
    from ..sampling.rows import RowSampler
    from .sample import Sample

_OF_OTHERS = ("solver", "spacing", "scaling", "guide", "label", "condition")
"""Options of `sample` that rows of a table do not have."""


def write_samples(options: Sample, folder: RunFolder, model: HasRows) -> None:
    """Draw rows, and write them with the names and types of the table at fit.

    Args:
        options: those of the command.
        folder: the run.
        model: its model.

    Raises:
        ValueError: for options of other models, unknown columns and values, none for a column that
            is always given, and a file that cannot be written.
    """
    from ..models.base import check_samples
    from ..models.table import rows_with
    from ..progress import progress
    from .table_rows import frame_of_rows, given_values, save_frame, table_schema_of

    refuse_options(options)
    schema = table_schema_of(folder, "sample")
    seeds = seed_range(options.seeds, options.count)
    try:
        given = rows_with(schema, given_values(schema, options.given), len(seeds))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("--given") else f"--given: {text}") from None
    out = _output(folder, options)

    sampler = row_sampler(model, options.steps)
    with progress() as on_progress:
        rows = model.infill(
            given.x, given.known, seeds, sampler, lambda k, n: on_progress("sampling", k, n)
        )
        save_frame(out, frame_of_rows(schema, check_samples(rows, "this run")))
    figures = {"rows": len(seeds), "steps": sampler.steps, "file": str(out)}
    tables.show(options.json, figures)


def row_sampler(model: HasRows, steps: int | None) -> RowSampler:
    """How rows are sampled: as the model has it, but for the number of steps.

    Args:
        model: the model.
        steps: how many; None for those of the model.
    """
    from ..sampling.rows import RowSampler

    return model.sampler if steps is None else RowSampler(steps)


def refuse_options(options: Any) -> None:
    """Refuse options of a sampler that are for other models.

    Args:
        options: of a command.

    Raises:
        ValueError: for the first that was given.
    """
    for name in _OF_OTHERS:
        value = getattr(options, name, None)
        if value is None or value == ():
            continue

        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        fixed = name in ("label", "condition")
        remedy = "fix columns by --given NAME=VALUE" if fixed else "leave it out"
        raise ValueError(
            f"--{name} {shown}: this run learned rows of a table, which have no {name}; {remedy}"
        )


def _output(folder: RunFolder, options: Sample) -> Path:
    """The file of the rows. ValueError for one that cannot be written."""
    from ..data.table_output import check_table_name
    from .files import free_name, output

    if options.out is None:
        (folder.path / "samples").mkdir(exist_ok=True)
        return free_name(folder.path / "samples", suffix=".csv")
    check_table_name(options.out)
    return output(folder, options.out, options.overwrite, kinds=(Path(options.out).suffix,))
