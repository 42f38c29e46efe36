"""The file metrics.jsonl: one JSON object per report of a run, and per validation.

A report has the keys step, images, loss, grad_norm, learning_rate, seconds, images_per_second; a
validation has step, validation (the loss), best_step and best.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files import append, open_regular, write_whole
from ..lookup import is_whole
from ..plain_json import parse_json
from .errors import TrainingError

_LONGEST_LINE = 2**16
_REPORTED = ("images", "loss", "seconds")


class Metrics:
    """A metrics file to which lines are appended.

    Args:
        path: the file; its folder is made if it is absent.
        step: lines of later steps are deleted first, so that a resumed run repeats none.

    Raises:
        TrainingError: if the disk is full or cannot be written.
        ValueError: where the path is a link, a folder, a device or a FIFO.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = [json.dumps(line) + "\n" for line in _lines(path) if line["step"] <= step]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, "".join(lines))
        except OSError as error:
            raise self._failure(error) from error

    def append(self, line: Mapping[str, float | None]) -> None:
        """Append one line, a JSON object.

        Raises:
            TrainingError: if the disk is full or cannot be written.
        """
        try:
            append(self.path, json.dumps(line) + "\n")
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
    return [line for line in _lines(path) if "validation" not in line]


def read_validation(path: Path) -> list[dict[str, float]]:
    """The validations in the metrics file `path`, in order; none without a file."""
    return [line for line in _lines(path) if "validation" in line]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, up to the first that is incomplete after a crash, or no line of
    ours.

    ValueError for a path that is no regular file.
    """
    if not os.path.lexists(path):
        return

    with open_regular(path) as file:
        while text := file.readline(_LONGEST_LINE):
            try:
                line = parse_json(text, "a line")
            except ValueError:
                return
            if not text.endswith(b"\n") or not _is_line(line):
                return
            yield line


def _is_line(line: Any) -> bool:
    """Whether a JSON value is a report or a validation."""
    if not isinstance(line, dict) or not is_whole(line.get("step")):
        return False

    numbers = {name for name, value in line.items() if _is_number(value)}
    if "validation" in line:
        empty = {name for name in ("validation", "best") if line.get(name) is None}
        return {"validation", "best_step", "best"} <= numbers | empty
    return numbers.issuperset(_REPORTED) and len(numbers) == len(line)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
