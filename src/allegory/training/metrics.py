"""metrics.jsonl: one JSON object for each report of a run, and for each validation.

A report has the keys step, images, loss, grad_norm, learning_rate, seconds, images_per_second; a
validation has step, validation (the loss), best_step and best.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .errors import TrainingError


class Metrics:
    """Appends lines to a file.

    Opening it cuts the file at `step`, so that a resumed run repeats no line.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = [line for line in read_all(path) if line["step"] <= step]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text("".join(json.dumps(line) + "\n" for line in lines))
            os.replace(new, path)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, line: Mapping[str, float | None]) -> None:
        """Add one line. TrainingError if the disk is full or may not be written."""
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> TrainingError:
        reason = error.strerror or error
        return TrainingError(
            f"{self.path} cannot be written ({reason}): make room or allow writing, then start "
            "again or resume"
        )


def read_reports(path: Path) -> list[dict[str, float]]:
    """The reports in a metrics file, up to the first line that a crash cut short; none if there is
    no file.
    """
    return [line for line in read_all(path) if "validation" not in line]


def read_validation(path: Path) -> list[dict[str, float]]:
    """The validations in a metrics file."""
    return [line for line in read_all(path) if "validation" in line]


def read_all(path: Path) -> list[dict[str, float]]:
    """All lines of a metrics file, in order."""
    lines: list[dict[str, float]] = []
    if path.is_file():
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines
