"""metrics.jsonl: appending, cutting at a step, and lines that a crash cut short."""

from pathlib import Path

import pytest

from allegory.training import TrainingError
from allegory.training.metrics import Metrics, read_reports


def test_lines_after_the_checkpoint_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    metrics = Metrics(path, 0)
    lines = [{"step": step, "loss": 1 / 3 / step} for step in (10, 20, 30)]
    for line in lines:
        metrics.append(line)
    assert read_reports(path) == lines
    Metrics(path, 20).append({"step": 21, "loss": 0.5})
    assert read_reports(path) == [*lines[:2], {"step": 21, "loss": 0.5}]
    Metrics(path, 0)
    assert read_reports(path) == [] and [each.name for each in path.parent.iterdir()] == [
        "metrics.jsonl"
    ]


def test_a_torn_line_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    assert read_reports(path) == [{"step": 1}]
    Metrics(path, 5).append({"step": 3})
    assert read_reports(path) == [{"step": 1}, {"step": 3}]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_reports(tmp_path / "metrics.jsonl") == []


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(
        TrainingError, match=r"metrics\.jsonl cannot be written .*allow writing"
    ) as error:
        Metrics(tmp_path / "run" / "metrics.jsonl", 0)
    assert "\n" not in str(error.value) and (tmp_path / "run").read_text() == "mine"


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full"
)
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl", 0)
    metrics.path = Path("/dev/full")
    with pytest.raises(TrainingError, match="No space left on device"):
        metrics.append({"step": 1})
