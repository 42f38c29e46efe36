"""Executed pages: every ```python block of a page is run when the documentation is built.

The pages stay plain markdown, which repository browsers and editors highlight and which tests/docs
runs. Here each such page becomes a MyST notebook before myst-nb reads it, so that what a block
prints is shown below it.
"""

from __future__ import annotations

import re
from typing import Any

PLAIN = ("decisions", "extending")
"""Pages whose blocks are files, or no programs; tests/docs/test_extending.py runs the former."""

HEAD = """---
file_format: mystnb
kernelspec:
  name: python3
---

"""


def to_notebook(app: Any, name: str, source: list[str]) -> None:
    """Make the page a notebook, if it has a ```python block."""
    text = source[0]
    if name in PLAIN or "```python\n" not in text:
        return
    source[0] = HEAD + re.sub(r"^```python\n", "```{code-cell} python3\n", text, flags=re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    """Connect it."""
    app.connect("source-read", to_notebook)
    return {"parallel_read_safe": True}
