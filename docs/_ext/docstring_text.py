"""Docstrings of this library as reStructuredText.

They are plain text: a formula is an indented block, a name stands in single backticks, and `*`, `|`
and `_` mean themselves. Sphinx would read these as markup; this module escapes them and turns
indented blocks into literal blocks before napoleon reads the sections.
"""

from __future__ import annotations

import re
from typing import Any

_PROPERTIES: dict[str, list[str]] = {}
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?|References?):$")


def escape(line: str) -> str:
    """The line with reStructuredText's signs escaped outside of backticks."""
    parts = re.split(r"(`+[^`]+`+)", line)
    for index in range(0, len(parts), 2):
        plain = parts[index].replace("\\", "\\\\")
        plain = re.sub(r"([*|])", r"\\\1", plain)
        parts[index] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", plain)
    return "".join(parts)


def convert(lines: list[str]) -> list[str]:
    """A whole docstring."""
    out: list[str] = []
    section, literal = False, False
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if line.strip() and not indented:
            section, literal = bool(SECTION.match(line)), False
        starts = number == 0 or not lines[number - 1].strip()
        if indented and not section and not literal and starts:
            out += ["::", ""]
            literal = True
        if indented and not section and not literal:
            line = line.strip()
        out.append(line if literal or (section and not indented) else escape(line))
    return out


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Convert in place, before napoleon reads the sections."""
    lines[:] = convert(lines)
    if what == "property":
        _PROPERTIES[name] = list(lines)


def restore(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undo napoleon on properties: it takes "A length: of a step" for a type and a description."""
    if what == "property":
        lines[:] = _PROPERTIES.pop(name, lines)


def hide_protocol(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, None] | None:
    """A protocol has no constructor."""
    return ("", None) if what == "class" and getattr(obj, "_is_protocol", False) else None


def setup(app: Any) -> dict[str, bool]:
    """Connect them around napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    app.connect("autodoc-process-signature", hide_protocol)
    return {"parallel_read_safe": True}
