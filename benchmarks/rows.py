"""Results that are saved row by row, so that a run which is cut off goes on where it was."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A file of results: sections of rows.

    Args:
        file: JSON; delete it to begin anew.
    """

    file: Path

    def read(self) -> dict[str, dict[str, Row]]:
        """The results so far."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def fill(self, section: str, name: str, work: Callable[[], Row]) -> Row:
        """A row; computed and saved if it is missing.

        Args:
            section: a title.
            name: of the row.
            work: computes it.
        """
        found = self.read()
        if name not in found.get(section, {}):
            return self.save(section, name, work())
        return found[section][name]

    def save(self, section: str, name: str, row: Row) -> Row:
        """Write a row, in place of one of this name.

        Args:
            section: a title.
            name: of the row.
            row: its figures.
        """
        found = self.read()
        found.setdefault(section, {})[name] = row
        self.file.write_text(json.dumps(found, indent=1) + "\n")
        print(section, name, json.dumps(row), file=sys.stderr, flush=True)
        return row

    def table(self, hidden: tuple[str, ...] = ()) -> str:
        """The results in Markdown.

        Args:
            hidden: keys that are left out.
        """
        lines = []
        for section, rows in self.read().items():
            keys = dict.fromkeys(key for row in rows.values() for key in row if key not in hidden)
            lines += ["", f"## {section}", "", "| | " + " | ".join(keys) + " |"]
            lines += ["|---" * (1 + len(keys)) + "|"]
            for name, row in rows.items():
                lines.append(
                    f"| {name} | " + " | ".join(_cell(row.get(key)) for key in keys) + " |"
                )
        return "\n".join(lines)


def _cell(value: Any) -> str:
    """A value as text."""
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
