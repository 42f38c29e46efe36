"""Text becomes an object once, at the edge: look a name up or say which one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def pick(kind: str, name: str, table: Mapping[str, T]) -> T:
    """table[name]. ValueError that names the closest entry otherwise."""
    if name in table:
        return table[name]
    close = difflib.get_close_matches(name, table, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"unknown {kind} {name!r}; {hint}choose from {', '.join(table)}")
