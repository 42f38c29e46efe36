"""The file metrics.jsonl: one JSON object per report of a run, and per validation.

A report has the keys step, images, loss, grad_norm, learning_rate, seconds, images_per_second; a
validation has step, validation (the loss), best_step and best.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .errors import TrainingError


class Metrics:
    """A metrics file to which lines are appended.

    Args:
        path: the file; its folder is made if it is absent.
        step: lines of later steps are deleted first, so that a resumed run repeats none.

    Raises:
        TrainingError: if the disk is full or cannot be written.
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
        """Append one line, a JSON object.

        Raises:
            TrainingError: if the disk is full or cannot be written.
        """
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
    """The reports in the metrics file `path`, in order; none without a file."""
    return [line for line in read_all(path) if "validation" not in line]


def read_validation(path: Path) -> list[dict[str, float]]:
    """The validations in the metrics file `path`, in order; none without a file."""
    return [line for line in read_all(path) if "validation" in line]


def read_all(path: Path) -> list[dict[str, float]]:
    """All lines of the metrics file `path`, up to the first that is incomplete after a crash."""
    lines: list[dict[str, float]] = []
    if path.is_file():
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines
