"""When a run writes into its folder, and what it refuses to write."""

import errno
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.training.toy import Numbers, Smooth, Toy

from allegory.training import (
    Interrupted,
    Progress,
    TrainingConfig,
    TrainingError,
    checkpoint,
    train,
)
from allegory.training.checkpoint import read_checkpoint
from allegory.training.counters import Counters
from allegory.training.output import Output


@pytest.mark.parametrize(("minutes", "expected"), [(5.0, [6, 36, 40]), (0.5, [3, 6, 7])])
def test_the_first_checkpoint_comes_within_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, expected: list[int]
) -> None:
    batches = Numbers()
    ticks = SimpleNamespace(monotonic=lambda: 10.0 * batches.position)
    monkeypatch.setattr("allegory.training.loop.time", ticks)
    saved: list[int] = []
    monkeypatch.setattr(checkpoint, "write", lambda *arguments: saved.append(batches.position))
    train(Smooth(), batches, TrainingConfig(expected[-1], checkpoint_minutes=minutes), tmp_path)
    assert saved == expected


@pytest.mark.parametrize("numbers", [[signal.SIGINT] * 3, [signal.SIGTERM] * 2])
def test_signals_during_a_checkpoint_leave_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: list[signal.Signals]
) -> None:
    write = checkpoint.write

    def interrupted(*arguments: object) -> None:
        for number in numbers:
            signal.raise_signal(number)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "write", interrupted)
    config = TrainingConfig(steps=9, checkpoint_minutes=1e-9)
    with pytest.raises(Interrupted, match="interrupted at step 2; the checkpoint is in") as error:
        train(Toy(), Numbers(), config, tmp_path)
    assert error.value.number == numbers[0]
    assert read_checkpoint(tmp_path).state["counters"]["step"] == 2
    assert not (tmp_path / "state.new").exists()


@pytest.mark.parametrize(("rate", "steps"), [(3e38, 1), (1e38, 5)])
@pytest.mark.parametrize("in_folder", [True, False])
def test_weights_that_are_not_finite_are_no_checkpoint_and_no_success(
    tmp_path: Path, rate: float, steps: int, in_folder: bool
) -> None:
    config = TrainingConfig(steps, learning_rate=rate, warmup=0, checkpoint_minutes=1e-9)
    folder = tmp_path if in_folder else None
    with pytest.raises(TrainingError, match=r"not finite after step|loss .* at step"):
        train(Smooth(), Numbers(), config, folder)
    if (tmp_path / "state").exists():
        saved = read_checkpoint(tmp_path)
        for part in (saved.model, saved.ema, saved.optimizer):
            assert all(value.isfinite().all() for value in part.values())


def test_nothing_is_written_before_the_run_begins_and_a_check_precedes_each_write(
    tmp_path: Path,
) -> None:
    run, seen = tmp_path / "run", []

    def begin(now: Counters) -> None:
        assert not run.exists()
        seen.append(now.step)

    def check() -> None:
        if len(seen) == 3:
            raise TrainingError("another folder")
        seen.append(-1)

    config = TrainingConfig(steps=9, log_every=1, validation_every=0)
    with pytest.raises(TrainingError, match="another folder"):
        train(Toy(), Numbers(), config, Output(run, begin, check))
    assert seen == [0, -1, -1] and len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_folder_that_vanishes_in_a_write_is_the_cause_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[bool] = []

    def fail(*arguments: object) -> None:
        gone.append(True)
        raise TrainingError("make room")

    def check() -> None:
        if gone:
            raise TrainingError("it was deleted")

    def begin(now: Counters) -> None:
        assert now.step == 0

    monkeypatch.setattr(checkpoint, "write", fail)
    with pytest.raises(TrainingError, match="it was deleted"):
        train(Toy(), Numbers(), TrainingConfig(steps=2), Output(tmp_path, begin, check))


def test_a_full_disk_at_the_first_checkpoint_says_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = TrainingConfig(steps=3, validation_every=0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_new", full)
        with pytest.raises(TrainingError, match=r"would have been the first: make room .* step 0"):
            train(Toy(), Numbers(), config, tmp_path)
    train(Toy(), Numbers(), config, tmp_path)
    monkeypatch.setattr(checkpoint, "write_new", full)
    with pytest.raises(TrainingError, match="the last complete one is untouched"):
        train(Toy(), Numbers(), TrainingConfig(steps=4), tmp_path, resume=True)


def test_best_weights_of_a_session_that_died_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"of a session without a checkpoint")
    seen: list[bool] = []

    def look(now: Progress) -> None:
        seen.append((tmp_path / "best.safetensors").exists())

    held_out = next(Numbers(size=9))
    config = TrainingConfig(steps=2, log_every=1, validation_every=2)
    train(Toy(), Numbers(), config, tmp_path, callbacks=[look], validation=held_out)
    assert not any(seen) and (tmp_path / "best.safetensors").exists()
