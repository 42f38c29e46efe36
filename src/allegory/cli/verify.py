"""`allegory verify`: the paper's equations, executed, and where a printed line does not hold."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from .options import optional

if TYPE_CHECKING:
    from rich.console import Console

    from ..paper import Result


@dataclass(frozen=True)
class Verify:
    """Execute the equations of the paper (Luo 2022) and compare both sides of each. A few seconds.

    Further checks are of the binomial diffusion of Sohl-Dickstein et al. 2015, --section binomial.
    Exits with 1 if one fails. Says where a printed line does not hold as it stands.
    """

    section: Annotated[str | None, optional("NAME")] = None
    """One section: elbo, vae, hierarchy, chain, denoising, marginal, posterior, objective, snr,
    interpretations, ..., or binomial.
    """
    equation: Annotated[int | None, optional("INT")] = None
    """One equation, by its number, 1 to 170."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Print each check and a summary. SystemExit with status 1 if one fails."""
        from ..paper import verify
        from ..progress import progress

        start = time.perf_counter()
        numbers = None if self.equation is None else [self.equation]
        with progress() as on_progress:
            results = verify(numbers, self.section, on_progress)
        seconds = time.perf_counter() - start

        if self.json:
            print(json.dumps(_figures(results, seconds), indent=2))
        else:
            _print(results, seconds)
        if not all(result.passed for result in results):
            raise SystemExit(1)


def _executed(results: tuple[Result, ...]) -> int:
    """How many numbered equations there are."""
    return len({result.number for result in results} - {None})


def _failed(results: tuple[Result, ...]) -> int:
    """How many numbered equations do not hold."""
    return _executed(tuple(result for result in results if not result.passed))


def _further(results: tuple[Result, ...]) -> tuple[Result, ...]:
    """The checks of equations without a number."""
    return tuple(result for result in results if result.number is None)


def _figures(results: tuple[Result, ...], seconds: float) -> dict[str, object]:
    """For JSON, where a side that is no finite number is null."""
    from ..paper import LAST

    rows = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in result.to_dict().items()
        }
        for result in results
    ]
    return {
        "equations": LAST,
        "executed": _executed(results),
        "failed": _failed(results),
        "checks": len(results),
        "further": len(_further(results)),
        "further_failed": sum(not result.passed for result in _further(results)),
        "seconds": seconds,
        "results": rows,
    }


def _print(results: tuple[Result, ...], seconds: float) -> None:
    from ..paper import FURTHER, SECTIONS
    from . import tables

    console = tables.console()
    shown = ""
    for result in results:
        if result.section != shown:
            shown = result.section
            part = (SECTIONS | FURTHER)[shown]
            numbers = f"{part.first}-{part.last}, " if part.first <= part.last else ""
            console.print(f"\n[bold]{part.title}[/bold] ({numbers}--section {part.name})")
        _print_check(console, result)

    console.print(f"\n{_summary(results, seconds)}", soft_wrap=True, highlight=False)
    loose = sorted({result.number or 0 for result in results if not result.as_printed})
    if loose:
        text = f"not as printed, see the notes: {_ranges(loose)}"
        console.print(text, soft_wrap=True, highlight=False)


def _summary(results: tuple[Result, ...], seconds: float) -> str:
    """How many equations and further checks were executed, and how many of them failed."""
    from ..paper import LAST

    further = _further(results)
    numbered = len(results) - len(further)
    parts = []
    if numbered:
        executed, failed = _executed(results), _failed(results)
        text = f"{executed} of {LAST} equations executed, {failed} failed"
        parts.append(f"{text} ({numbered} check{'s' if numbered != 1 else ''})")
    if further:
        failed = sum(not result.passed for result in further)
        parts.append(f"{len(further)} further checks, {failed} failed")
    return f"{'; '.join(parts)}; {seconds:.1f} s"


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _print_check(console: Console, result: Result) -> None:
    """One check: its verdict and statement, then both sides, then what to know."""
    from rich.markup import escape

    verdict = "[green]ok[/green]  " if result.passed else "[red]FAIL[/red]"
    sides = f"{result.left:.10g} | {result.right:.10g}"
    error = f"off by {result.discrepancy:.1e}, tolerance {result.tolerance:.1e}"
    values = f"{result.count} value{'s' if result.count != 1 else ''}"

    name = result.label or f"{result.number:>3}"
    lines = [f"{verdict} {name}  {escape(result.statement)}"]
    lines.append(f"[dim]{sides}; {error}; {result.kind}, {values}[/dim]")
    if result.reason:
        lines.append(f"[red]{escape(result.reason)}[/red]")
    if result.note:
        lines.append(f"[yellow]note:[/yellow] {escape(result.note)}")
    console.print(("\n" + " " * 10).join(lines), soft_wrap=True, highlight=False)
