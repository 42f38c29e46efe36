"""`allegory recipes`: what can be trained by name."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipes:
    """List the recipes, with a line for each.

    `allegory train RECIPE --help` says more: its fields, and the figure that it should reach.
    """

    json: bool = False
    """Print the list as JSON."""

    def run(self) -> None:
        """Print the list."""
        from rich.table import Table

        from ..recipes import RECIPES
        from . import tables

        lines = {name: RECIPES.entry(name).help for name in RECIPES}
        if self.json:
            print(json.dumps(lines, indent=2))
            return

        table = Table(show_header=False, box=None, pad_edge=False)
        for name, line in lines.items():
            table.add_row(name, line)
        tables.console().print(table)
