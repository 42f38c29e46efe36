"""Directives whose contents come from the code and from measured figures.

    ```{registry} allegory.sampling.registry SOLVERS
    ```
    ```{results}
    ```

`registry` is the table of names and help lines of a `Registry`. `results` is one table for each
file in benchmarks/results, with the command that made it.
"""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from allegory.lookup import Registry

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


class Markdown(SphinxDirective):
    """A directive that writes markdown."""

    has_content = False
    optional_arguments = 2
    final_argument_whitespace = True

    def markdown(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        holder = nodes.Element()
        lines = StringList(self.markdown().splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder.children


class RegistryTable(Markdown):
    """The names of a registry, and what each is."""

    def markdown(self) -> str:
        module, name = " ".join(self.arguments).split()
        registry = getattr(import_module(module), name)
        if not isinstance(registry, Registry):
            return ", ".join(f"`{each}`" for each in registry)
        return registry.markdown()


def number(value: Any) -> str:
    """A cell."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " / ".join(number(each) for each in value)
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}"


def tables(figures: Any, heading: str = "") -> list[str]:
    """Markdown for nested dictionaries of figures: the innermost two levels are a table."""
    if not isinstance(figures, dict) or not figures:
        return []
    inner = list(figures.values())
    if all(isinstance(row, dict) for row in inner):
        if any(isinstance(cell, dict) for row in inner for cell in row.values()):
            parts = (tables(row, str(name)) for name, row in figures.items())
            return [line for part in parts for line in part]
        columns = list(dict.fromkeys(column for row in inner for column in row))
        lines = [f"| {heading} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for name, row in figures.items():
            lines.append(f"| {name} | {' | '.join(number(row.get(each)) for each in columns)} |")
        return [*lines, ""]
    lines = [f"| {heading} | |", "|---|---|"]
    lines += [f"| {name} | {number(value)} |" for name, value in figures.items()]
    return [*lines, ""]


class TopNames(Markdown):
    """The names of `import allegory`, each with its first line and the package where it is."""

    def markdown(self) -> str:
        top = import_module("allegory")
        lines = ["| name | what | package |", "|---|---|---|"]
        for name in top.__all__:
            thing = getattr(top, name)
            home = str(getattr(thing, "__module__", "allegory")).split(".")
            package = home[1] if home[1:] else "allegory"
            first = (inspect.getdoc(thing) or "").splitlines()[:1]
            what = "".join(first).replace("|", "\\|").replace("*", "\\*")
            lines.append(f"| `{name}` | {what} | [{package}]({package}.md) |")
        return "\n".join(lines)


class Results(Markdown):
    """A section for each measured benchmark."""

    def markdown(self) -> str:
        lines: list[str] = []
        for path in sorted(RESULTS.glob("*.json")):
            self.env.note_dependency(str(path))
            figures = json.loads(path.read_text())
            lines += ["", f"**`python -m benchmarks {path.stem}`**", "", *tables(figures)]
        return "\n".join(lines) or "No results are in this copy of the repository."


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("registry", RegistryTable)
    app.add_directive("results", Results)
    app.add_directive("top-names", TopNames)
    return {"parallel_read_safe": True}
