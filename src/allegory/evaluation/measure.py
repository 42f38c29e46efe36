"""One line of a table of results."""

from __future__ import annotations

from typing import NamedTuple


class Measure(NamedTuple):
    """A figure with its standard error, None where it has none, and its unit, "" for a plain number."""

    name: str
    value: float
    error: float | None
    unit: str
