"""The run folder stays whole: whatever is cut, whatever fails, whatever is damaged."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from allegory.training import TrainingError, discard, load_weights
from allegory.training.checkpoint import (
    Checkpoint,
    exists,
    read_checkpoint,
    recover,
    write,
    write_weights,
)
from allegory.training.weights import read_weights


def made(value: float) -> Checkpoint:
    """A small checkpoint in which everything says `value`."""
    tensors = {"a": torch.full((3, 2), value), "n": torch.tensor(int(value))}
    return Checkpoint(
        tensors, tensors, {"a.exp_avg": tensors["a"]}, {"cpu": tensors["a"]}, {"value": value}
    )


def value_of(folder: Path) -> float:
    """The value that all parts of the folder's checkpoint agree on."""
    saved = read_checkpoint(folder)
    parts = (saved.model["a"], saved.ema["a"], saved.optimizer["a.exp_avg"], saved.random["cpu"])
    values = {float(x) for part in parts for x in part.flatten()} | {
        float(saved.model["n"]),
        saved.state["value"],
    }
    assert len(values) == 1, values
    return values.pop()


class Cut(BaseException):
    """The power goes out: nothing after it runs."""


class Disk:
    """Counts the operations on the files of a folder, and fails at number `at` or from there on."""

    EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.rmtree")

    def __init__(self) -> None:
        self.watching = False
        sys.addaudithook(self._seen)  # for good: Python has no way to take it off

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in self.EVENTS and self._concerns(event, arguments):
            self.count += 1
            if self.count == self.at or (self.on and self.count > self.at):
                raise self.error

    def _concerns(self, event: str, arguments: tuple[Any, ...]) -> bool:
        inside = str(self.folder) in str(arguments[0])
        deletes = event in ("os.remove", "os.rmdir")
        if self.room:
            return inside or (
                deletes and arguments[1] != -1
            )  # rmtree names files relative to an open folder
        return inside and (
            event in ("os.mkdir", "os.link") or (event == "open" and arguments[2] & os.O_CREAT)
        )

    @contextmanager
    def failing(
        self, folder: Path, at: int, error: BaseException, *, on: bool = False, room: bool = True
    ) -> Iterator["Disk"]:
        """Operation `at` raises; with `on` all later ones too; without `room` only new files do."""
        self.folder, self.at, self.error, self.on, self.room = folder, at, error, on, room
        self.count, self.watching = 0, True
        try:
            yield self
        finally:
            self.watching = False


@pytest.fixture(scope="module")
def disk() -> Disk:
    return Disk()


def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    tied = torch.randn(4, 4)
    model = {
        "half": torch.randn(3).bfloat16(),
        "double": torch.randn(2, 2, dtype=torch.float64),
        "count": torch.tensor(7),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "none": torch.zeros(0, 3),
        "turned": torch.randn(3, 5).t(),
        "one": tied,
        "other": tied,
        "part": tied[1:],
    }
    state = {"float": 0.1 + 0.2, "tiny": 5e-324, "list": [[1 / 3, 2.0]], "big": 2**60, "text": "é"}
    write(tmp_path, Checkpoint(model, {}, {}, {"cpu": torch.get_rng_state()}, state))
    saved = read_checkpoint(tmp_path)
    assert saved.state == state and list(saved.ema) == []
    assert torch.equal(saved.random["cpu"], torch.get_rng_state())
    assert set(saved.model) == set(model)
    for name, tensor in model.items():
        assert saved.model[name].dtype == tensor.dtype and torch.equal(saved.model[name], tensor)
    for name in ("model.safetensors", "ema.safetensors"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "state" / name).read_bytes()


def test_a_cut_before_any_operation_leaves_the_last_or_the_next_checkpoint(
    tmp_path: Path, disk: Disk
) -> None:
    first = tmp_path / "first"
    write(first, made(1))
    with disk.failing(shutil.copytree(first, tmp_path / "whole"), 0, Cut()) as whole:
        write(tmp_path / "whole", made(2))
    assert whole.count > 15
    found = []
    for at in range(1, whole.count + 1):
        run = shutil.copytree(first, tmp_path / f"cut{at}")
        with pytest.raises(Cut), disk.failing(run, at, Cut()):
            write(run, made(2))
        found.append(value_of(run))
        for name in ("model.safetensors", "ema.safetensors"):
            assert float(read_weights(run / name)["n"]) in (1, 2)
        write(run, made(3))
        assert value_of(run) == 3
        assert {each.name for each in run.iterdir()} == {
            "state",
            "model.safetensors",
            "ema.safetensors",
        }
    assert set(found) == {1, 2} and found == sorted(found)


def test_between_the_two_renames_a_reader_takes_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, made(1))
    os.rename(tmp_path / "state", tmp_path / "state.old")
    assert exists(tmp_path) and value_of(tmp_path) == 1
    recover(tmp_path)
    assert (tmp_path / "state").is_dir() and value_of(tmp_path) == 1


def test_a_cut_of_the_very_first_checkpoint_leaves_none(tmp_path: Path, disk: Disk) -> None:
    with pytest.raises(Cut), disk.failing(tmp_path, 5, Cut()):
        write(tmp_path, made(1))
    assert not exists(tmp_path)
    write(tmp_path, made(2))
    assert value_of(tmp_path) == 2


def test_a_full_disk_leaves_the_last_checkpoint_and_no_rest(tmp_path: Path, disk: Disk) -> None:
    first, full = tmp_path / "first", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write(first, made(1))
    files = sorted(path.relative_to(first) for path in first.rglob("*"))
    for at in range(1, 9):  # a folder, five files, two links or copies
        run = shutil.copytree(first, tmp_path / f"full{at}")
        with (
            pytest.raises(TrainingError) as error,
            disk.failing(run, at, full, on=True, room=False),
        ):
            write(run, made(2))
        message = str(error.value)
        assert (
            "No space left" in message
            and str(run) in message
            and "resume" in message
            and "\n" not in message
        )
        assert value_of(run) == 1
        assert sorted(path.relative_to(run) for path in run.rglob("*")) == files
    with disk.failing(run, 9, full, on=True, room=False):
        write(run, made(2))
    assert value_of(run) == 2


def test_a_disk_that_becomes_read_only_leaves_a_whole_checkpoint(
    tmp_path: Path, disk: Disk
) -> None:
    first, locked = tmp_path / "first", OSError(errno.EROFS, os.strerror(errno.EROFS))
    write(first, made(1))
    found = []
    for at in range(1, 20):
        run = shutil.copytree(first, tmp_path / f"locked{at}")
        with (
            pytest.raises(TrainingError, match="Read-only file system"),
            disk.failing(run, at, locked, on=True),
        ):
            write(run, made(2))
        found.append(value_of(run))
        write(run, made(3))
        assert value_of(run) == 3
    assert set(found) == {1, 2} and found == sorted(found)


def test_a_disk_that_fills_up_while_a_file_is_written(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    write(tmp_path, made(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(TrainingError, match="File too large"):
            write(tmp_path, made(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert value_of(tmp_path) == 1 and not (tmp_path / "state.new").exists()


def test_a_disk_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path, made(1))
    write(tmp_path, made(2))
    assert value_of(tmp_path) == 2 and float(read_weights(tmp_path / "ema.safetensors")["n"]) == 2
    assert not os.path.samefile(
        tmp_path / "ema.safetensors", tmp_path / "state" / "ema.safetensors"
    )


NAMES = [f"{name}.safetensors" for name in ("model", "ema", "optimizer", "random")] + ["state.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing"])
def test_damage_is_named_with_its_file_and_remedy(tmp_path: Path, name: str, damage: str) -> None:
    write(tmp_path, made(1))
    path = tmp_path / "state" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:-3] if damage == "truncated" else b"[" + content[::-1])
    with pytest.raises(ValueError) as error:
        read_checkpoint(tmp_path)
    message = str(error.value)
    assert str(path) in message and "train again" in message and "\n" not in message


def test_no_run_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        assert not exists(folder)
        with pytest.raises(ValueError, match=r"holds no checkpoint.*train without resume"):
            read_checkpoint(folder)


def test_another_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, made(1))
    (tmp_path / "state" / "state.json").write_text('{"format": 99, "state": {}}')
    with pytest.raises(ValueError, match="not of format 2"):
        read_checkpoint(tmp_path)


def test_discard_deletes_what_training_wrote_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, made(1))
    for name in ("metrics.jsonl", "run.json", "model.safetensors.new"):
        (tmp_path / name).write_text("{}")
    discard(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"] and not exists(tmp_path)
    discard(tmp_path)


LINKS = ("state", "state.old", "state.new", "model.safetensors.new", "ema.safetensors.new")


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("leads", ["file", "folder", "nowhere"])
def test_a_link_among_the_names_is_not_followed(tmp_path: Path, name: str, leads: str) -> None:
    """What it leads to is untouched, and the link is replaced or deleted."""
    run, outside = tmp_path / "run", tmp_path / "outside"
    write(run, made(1))
    if name.startswith("state"):
        shutil.rmtree(run / "state")
    write(outside / "folder", made(7))
    (outside / "file").write_text("precious")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}

    (run / name).symlink_to(outside / leads)
    if name in ("state", "state.old"):
        with pytest.raises(ValueError, match=r"is a link|holds no checkpoint"):
            read_checkpoint(run)
    write(run, made(2))
    assert value_of(run) == 2 and not os.path.lexists(run / LINKS[1])
    assert not any(path.is_symlink() for path in run.rglob("*"))

    (run / name).unlink() if (run / name).is_file() else None
    discard(run)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in outside.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "best.safetensors"])
def test_weights_replace_regular_files_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / name).symlink_to("precious")
    with pytest.raises(ValueError, match=rf"{name} is a link"):
        write_weights(tmp_path / name, {})
    if name != "best.safetensors":
        with pytest.raises(ValueError, match=rf"{name} is a link"):
            write(tmp_path, made(1))
    assert (tmp_path / "precious").read_text() == "mine"

    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a FIFO"):
        write_weights(tmp_path / name, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    write(tmp_path, made(1))
    (tmp_path / "state" / name).unlink()
    os.mkfifo(tmp_path / "state" / name)
    with pytest.raises(ValueError, match=rf"{name} is a FIFO"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors", "metrics.jsonl"])
def test_what_a_resumed_run_will_write_is_looked_at_first(tmp_path: Path, name: str) -> None:
    write(tmp_path, made(1))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a FIFO"):
        read_checkpoint(tmp_path)


def test_what_a_killed_writer_left_is_deleted(tmp_path: Path) -> None:
    write(tmp_path, made(1))
    for name in (".best.safetensors.0123abcd.new", ".run.json.0123abcd.new"):
        (tmp_path / name).write_text("half")
    write(tmp_path, made(2))
    assert not list(tmp_path.glob(".*"))


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    module = nn.Linear(2, 3)
    write(tmp_path, Checkpoint(nn.Linear(2, 3).state_dict(), {}, {}, {}, {}))
    path = tmp_path / "model.safetensors"
    load_weights(module, path)
    assert torch.equal(module.weight, read_weights(path)["weight"])
    own = module.weight.clone()
    for other in (nn.Linear(2, 4), nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3))):
        with pytest.raises(
            ValueError, match=r"weight \S+ is .* in .*model\.safetensors and .* build the model"
        ) as error:
            load_weights(other, path)
        assert "\n" not in str(error.value)
    assert torch.equal(module.weight, own)
    with pytest.raises(ValueError, match="cannot be read"):
        load_weights(module, tmp_path / "absent.safetensors")
