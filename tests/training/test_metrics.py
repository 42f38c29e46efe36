"""metrics.jsonl: appending, cutting at a step, and lines that a crash cut short."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from allegory.training import TrainingError
from allegory.training.metrics import Metrics, read_reports, read_validation


def report(step: Any, **others: Any) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    return {"step": step, "images": 8, "loss": 0.5, "seconds": 1.0} | others


def test_lines_after_the_checkpoint_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    metrics = Metrics(path, 0)
    lines = [report(step, loss=1 / 3 / step) for step in (10, 20, 30)]
    for line in lines:
        metrics.append(line)
    assert read_reports(path) == lines
    Metrics(path, 20).append(report(21))
    assert read_reports(path) == [*lines[:2], report(21)]
    Metrics(path, 0)
    assert read_reports(path) == [] and [each.name for each in path.parent.iterdir()] == [
        "metrics.jsonl"
    ]


def test_a_torn_line_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(report(1)) + '\n{"step": 2, "lo')
    assert read_reports(path) == [report(1)]
    Metrics(path, 5).append(report(3))
    assert read_reports(path) == [report(1), report(3)]


ODD = (
    *("1", "null", "[]", "{}", '"step"', "[" * 200_000, "{" * 200_000, "NaN", '{"step": 1}'),
    *(json.dumps(report(step)) for step in (True, 2.5, "2", None, [2], {}, 10**30)),
    *(json.dumps(report(2, loss=loss)) for loss in ("a", None, [], True, float("nan"))),
    *('{"step": 2, "validation": "a", "best_step": 1, "best": 1.0}', "\ud800", "\0" * 100),
)


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:12]))
def test_a_line_that_is_no_report_ends_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps(report(1)), text, json.dumps(report(3))]
    path.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogatepass"))
    assert read_reports(path) == [report(1)] and read_validation(path) == []
    Metrics(path, 5)
    assert path.read_text() == lines[0] + "\n"


def test_a_link_or_a_fifo_is_no_metrics_file(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to("precious")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        with pytest.raises(ValueError, match=name):
            Metrics(tmp_path / name, 0)
    with pytest.raises(ValueError, match="is a FIFO"):
        read_reports(tmp_path / "fifo")

    metrics = Metrics(tmp_path / "metrics.jsonl", 0)
    metrics.path = tmp_path / "link"
    with pytest.raises(ValueError, match="is a link"):
        metrics.append(report(1))
    assert (tmp_path / "precious").read_text() == "mine"


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_reports(tmp_path / "metrics.jsonl") == []


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(
        TrainingError, match=r"metrics\.jsonl cannot be written .*allow writing"
    ) as error:
        Metrics(tmp_path / "run" / "metrics.jsonl", 0)
    assert "\n" not in str(error.value) and (tmp_path / "run").read_text() == "mine"


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl", 0)

    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("allegory.training.metrics.append", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        metrics.append(report(1))
