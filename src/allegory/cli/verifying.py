"""`allegory verify`: the paper's equations, executed, and where a printed line does not hold as it stands."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ..paper import LAST, SECTIONS, Result
from ..paper import verify as execute

if TYPE_CHECKING:
    from .arguments import Verify


def verify(options: Verify) -> None:
    """Print each check and a summary. SystemExit with status 1 if one fails."""
    start = time.perf_counter()
    results = execute(None if options.equation is None else [options.equation], options.section)
    seconds = time.perf_counter() - start
    if options.json:
        print(json.dumps(_figures(results, seconds), indent=2))
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(
                errors="replace"
            )  # a terminal that cannot show a sign of mathematics shows "?"
        _print(results, seconds)
    if not all(result.passed for result in results):
        raise SystemExit(1)


def _executed(results: tuple[Result, ...]) -> int:
    return len({result.number for result in results})


def _failed(results: tuple[Result, ...]) -> int:
    return len({result.number for result in results if not result.passed})


def _figures(results: tuple[Result, ...], seconds: float) -> dict[str, object]:
    """For JSON, where a side that is no finite number is null."""
    rows = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in result.to_dict().items()
        }
        for result in results
    ]
    return {
        "equations": LAST, "executed": _executed(results), "failed": _failed(results), "checks": len(results),
        "seconds": seconds, "results": rows,
    }  # fmt: skip


def _print(results: tuple[Result, ...], seconds: float) -> None:
    console, shown = Console(), ""
    for result in results:
        if result.section != shown:
            shown, part = result.section, SECTIONS[result.section]
            console.print(
                f"\n[bold]{part.title}[/bold] ({part.first}-{part.last}, --section {part.name})"
            )
        _line(console, result)
    console.print(
        f"\n{_executed(results)} of {LAST} equations executed, {_failed(results)} failed, {seconds:.1f} s "
        f"({len(results)} checks)",
        highlight=False,
    )
    loose = sorted({result.number for result in results if not result.as_printed})
    if loose:
        console.print(
            f"not as printed, see the notes: {_ranges(loose)}", soft_wrap=True, highlight=False
        )


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _line(console: Console, result: Result) -> None:
    """One check: its verdict and statement, then both sides, then what to know."""
    verdict = "[green]ok[/green]  " if result.passed else "[red]FAIL[/red]"
    lines = [f"{verdict} {result.number:>3}  {escape(result.statement)}"]
    lines.append(
        f"[dim]{result.left:.10g} | {result.right:.10g}; off by {result.discrepancy:.1e}, tolerance "
        f"{result.tolerance:.1e}; {result.kind}, {result.count} value{'s' if result.count != 1 else ''}[/dim]"
    )
    if result.reason:
        lines.append(f"[red]{escape(result.reason)}[/red]")
    if result.note:
        lines.append(f"[yellow]note:[/yellow] {escape(result.note)}")
    console.print(("\n" + " " * 10).join(lines), soft_wrap=True, highlight=False)
