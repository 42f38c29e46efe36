"""The lock of a run folder: one holder, released with its process, and no trace of it."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from allegory.recipes import lock as module
from allegory.recipes.lock import LOCK, locked
from allegory.training import TrainingError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks as POSIX has them")


def test_a_second_holder_is_told_and_the_first_unharmed(tmp_path):
    run = tmp_path / "runs" / "a"
    with locked(run) as lock:
        for _ in range(2):
            with (
                pytest.raises(ValueError, match="another process trains in it; wait for its end"),
                locked(run),
            ):
                pass
        lock.check()
        assert [path.name for path in run.iterdir()] == [LOCK]
    assert not (tmp_path / "runs").exists()
    with locked(run):
        (run / "run.json").touch()
    assert [path.name for path in run.iterdir()] == ["run.json"]


def test_what_was_there_before_stays(tmp_path):
    (tmp_path / LOCK).touch()
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_lock_ends_with_its_process(tmp_path):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path):
            os.write(writing, b"locked")
            time.sleep(600)
    assert os.read(reading, 6) == b"locked"
    with pytest.raises(ValueError, match="another process"), locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("precious"), os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file_is_refused_at_once(tmp_path, make):
    (tmp_path / "precious").write_text("dear")
    make(tmp_path / LOCK)
    started = time.monotonic()
    with pytest.raises(ValueError, match="is no regular file; delete it"), locked(tmp_path):
        pass
    assert time.monotonic() - started < 1
    assert (tmp_path / "precious").read_text() == "dear" and os.path.lexists(tmp_path / LOCK)


def test_a_file_that_is_deleted_before_it_is_locked_locks_nothing(tmp_path, monkeypatch):
    """Its last holder deletes it between the opening and the locking by the next."""
    flock, calls = module.fcntl.flock, []

    def late(descriptor, how):
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with locked(tmp_path) as lock:
        lock.check()
        assert len(calls) == 2
        with pytest.raises(ValueError, match="another process"), locked(tmp_path):
            pass


def test_without_locks_training_goes_on(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with locked(tmp_path) as lock, locked(tmp_path):
        lock.check()
    monkeypatch.setattr(module, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        pass


def deleted(run: Path) -> None:
    (run / LOCK).unlink()
    run.rmdir()


def renamed(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))


def made_anew(run: Path) -> None:
    renamed(run)
    run.mkdir()
    (run / LOCK).touch()


@pytest.mark.parametrize("change", [deleted, renamed, made_anew])
def test_a_folder_that_vanished_is_noticed(tmp_path, change):
    run = tmp_path / "run"
    with locked(run) as lock:
        change(run)
        with pytest.raises(TrainingError, match="deleted or renamed while the run trained"):
            lock.check()
        left = sorted(tmp_path.rglob("*"))
    assert sorted(tmp_path.rglob("*")) == left
