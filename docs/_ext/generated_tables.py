"""Directives whose contents come from the code and from measured figures.

    ```{registry} allegory.sampling.registry SOLVERS
    ```
    ```{results}
    ```

`registry` is the table of names and help lines of a `Registry`. `results` is a section for each
file in benchmarks/results that holds a figure: the command that made it, what its script says of
itself, and the tables.
"""

from __future__ import annotations

import ast
import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from allegory.lookup import Registry

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results"


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


def measured(figures: Any) -> Any:
    """The figures without what was not measured: None, and dictionaries of nothing else."""
    if not isinstance(figures, dict):
        return figures
    kept = {name: measured(value) for name, value in figures.items()}
    return {name: value for name, value in kept.items() if value not in (None, {})}


def about(script: Path) -> list[str]:
    """What the docstring of a script says, without its indented examples."""
    if not script.is_file():
        return []
    paragraphs = (ast.get_docstring(ast.parse(script.read_text())) or "").split("\n\n")
    prose = [text for text in paragraphs if not text.startswith(" ")]
    return [line for text in prose for line in (*text.splitlines(), "")]


def cell(text: Any) -> str:
    """Text inside a table."""
    return str(text).replace("|", "\\|")


def number(value: Any) -> str:
    """A figure as a cell."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " / ".join(number(each) for each in value)
    if isinstance(value, bool) or not isinstance(value, float):
        return cell(value)
    return f"{value:.3g}"


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
            lines.append(
                f"| {cell(name)} | {' | '.join(number(row.get(each)) for each in columns)} |"
            )
        return [*lines, ""]
    lines = [f"| {heading} | |", "|---|---|"]
    lines += [f"| {cell(name)} | {number(value)} |" for name, value in figures.items()]
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
            first = (inspect.getdoc(thing) or "").partition("\n\n")[0]
            what = cell(" ".join(first.split())).replace("*", "\\*")
            lines.append(f"| `{name}` | {what} | [{package}]({package}.md) |")
        return "\n".join(lines)


class Results(Markdown):
    """A section for each measured benchmark."""

    def markdown(self) -> str:
        lines: list[str] = []
        for path in sorted(RESULTS.glob("*.json")):
            self.env.note_dependency(str(path))
            figures = measured(json.loads(path.read_text()))
            if figures:
                lines += ["", f"**`python -m benchmarks {path.stem}`**", ""]
                lines += [*about(BENCHMARKS / f"{path.stem}.py"), *tables(figures)]
        return "\n".join(lines) or "No results are in this copy of the repository."


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("registry", RegistryTable)
    app.add_directive("results", Results)
    app.add_directive("top-names", TopNames)
    return {"parallel_read_safe": True}
