"""Output of the commands: tables, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation import Evaluation


def note(quiet: bool, text: str) -> None:
    """Print the line `text`, except if `quiet` (with --json)."""
    from rich.console import Console

    if not quiet:
        Console().print(text, soft_wrap=True, highlight=False)


def remark(text: str) -> None:
    """Print the line `text` on standard error, also with --json."""
    print(text, file=sys.stderr, flush=True)


def show(as_json: bool, figures: Mapping[str, object]) -> None:
    """Print named `figures`, one per line; as a JSON object if `as_json`."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def evaluation(as_json: bool, found: Evaluation, page: Path) -> None:
    """Print the figures of an evaluation, and the path of its report.

    Args:
        as_json: print a JSON object in place of a table.
        found: the evaluation.
        page: path of the report.
    """
    if as_json:
        print(json.dumps(found.to_dict() | {"report": str(page)}, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(title="evaluation", title_justify="left")
    table.add_column("figure")
    for column in ("value", "standard error"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for name, value, error, unit in found.rows():
        table.add_row(name, f"{value:.3f}", "" if error is None else f"{error:.3f}", unit)

    console = Console()
    console.print(table)
    console.print(f"report: {page}", soft_wrap=True, highlight=False)
