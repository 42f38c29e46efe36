"""Output of the commands: tables, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..launch import is_first

if TYPE_CHECKING:
    from rich.console import Console

    from ..evaluation import Figures
    from ..evaluation.calibration import Calibration


def console(**choices: Any) -> Console:
    """A console on standard output, with the `choices` of rich.

    A reader that has gone raises BrokenPipeError, where rich would exit with 1. Text between colons
    stays, where rich would draw a face for it: "classifier:-1:run=RUN" holds ":-1:".
    """
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Output(emoji=False, **choices)


def note(quiet: bool, text: str) -> None:
    """Print the line `text`, except if `quiet` (with --json)."""
    if not quiet:
        console().print(text, soft_wrap=True, highlight=False, markup=False)


def remark(text: str) -> None:
    """Print the line `text` on standard error, also with --json; only in the first process."""
    if is_first():
        print(text, file=sys.stderr, flush=True)


def show(as_json: bool, figures: Mapping[str, object]) -> None:
    """Print named `figures`, one per line; as a JSON object if `as_json`."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return

    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else escape(str(value)))
    console().print(table)


def evaluation(as_json: bool, found: Figures, measured: str, files: Mapping[str, Path]) -> None:
    """Print the figures of an evaluation, and what was written.

    Args:
        as_json: print a JSON object in place of a table.
        found: the evaluation.
        measured: which items, in words.
        files: the files that were written, by what they are.
    """
    if as_json:
        written = {name.replace(" ", "_"): str(file) for name, file in files.items()}
        print(json.dumps(found.to_dict() | {"items": measured} | written, indent=2))
        return

    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"evaluation: {measured}"), title_justify="left")
    table.add_column("figure")
    for column in ("value", "standard error"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for name, value, error, unit in found.rows():
        shown = f"{value:,}" if isinstance(value, int) else _decimals(value)
        table.add_row(escape(name), shown, "" if error is None else _decimals(error), unit)

    output = console()
    output.print(table)
    for name, file in files.items():
        output.print(f"{name}: {file}", soft_wrap=True, highlight=False, markup=False)


def calibration(found: Calibration) -> None:
    """Print the figures of a calibration (`found`), and its verdict."""
    from rich.markup import escape
    from rich.table import Table

    head = f"calibration of {found.method}: {found.task}, {found.items} items, {found.draws} draws"
    table = Table(title=escape(head), title_justify="left")
    table.add_column("figure")
    for column in ("value", "standard error"):
        table.add_column(column, justify="right")
    for name, value, error, unit in found.rows():
        shown = f"{_decimals(value)}{' ' + unit if unit else ''}"
        table.add_row(escape(name), shown, "" if error is None else _decimals(error))

    console().print(table)
    note(False, f"{found.method}: {found.verdict}")


def _decimals(value: float) -> str:
    """Three decimals, or three digits of a `value` that would lose them, such as 1.7e-6."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"
