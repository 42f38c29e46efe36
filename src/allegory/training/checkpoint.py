"""The files of a run folder, and their replacement as a whole.

    RUN/state/               the state for a bit-exact resume:
        model.safetensors      the weights of this step
        ema.safetensors        their moving average
        optimizer.safetensors  the moments of the optimizer, by name of the parameter
        random.safetensors     states of the random generators, one row per process
        state.json             counters and the position in the data
    RUN/model.safetensors    the same weights (a hard link where the file system has them)
    RUN/ema.safetensors
    RUN/best.safetensors     the moving average at the lowest validation loss (`selection.py`)
    RUN/metrics.jsonl        one line per report (see `metrics.py`)

A checkpoint is written under other names, synchronised to the disk, and renamed:

    1. write state.new/ and *.new
    2. rename state to state.old
    3. rename state.new to state
    4. rename *.new to *
    5. delete state.old

After a failure in step 1 the last checkpoint is in place, after one in step 4 or 5 the new one;
between steps 2 and 3 both are complete under other names, and `read_checkpoint` takes `state.old`.
No file is a pickle. Links among these names are never followed in writing: `state` as a link is
refused, and a remainder that is a link is deleted, not what it leads to.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files import (
    check_replaceable,
    remove_leftovers,
    sync_folder,
    write_new,
    write_whole,
)
from ..plain_json import read_json
from .errors import TrainingError
from .packing import packed
from .weights import REMEDY, read_weights

TENSORS = ("model", "ema", "optimizer", "random")
PUBLISHED = ("model.safetensors", "ema.safetensors")
BEST = "best.safetensors"
_WHOLE = (BEST, "metrics.jsonl", "run.json")
FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run for a bit-exact resume: four dictionaries of tensors, and JSON values.

    Args:
        model: the weights by name.
        ema: their moving average by name.
        optimizer: moments of the optimizer by PARAMETER.MOMENT.
        random: states of the random generators by name, (processes, bytes) each.
        state: counters, and the position in the data, as JSON values.
        metadata: words that the files of weights hold beside the tensors.
    """

    model: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    random: Mapping[str, Tensor]
    state: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run folder, all of it or nothing.

    Args:
        folder: the run folder; it is made if it is absent.
        checkpoint: the new state.

    Raises:
        TrainingError: if the disk is full or cannot be written; the last complete checkpoint, if
            there is one, is then untouched.
        ValueError: where a link, a folder or a device has the name of a file of weights.
    """
    for name in PUBLISHED:
        check_replaceable(folder / name)

    try:
        recover(folder)
        _prepare(folder, checkpoint)
        _swap(folder)
    except OSError as error:
        with suppress(OSError):
            recover(folder)
        reason = error.strerror or error
        last = (
            "the last complete one is untouched: make room or allow writing, then resume"
            if has_state(folder)
            else "it would have been the first: make room or allow writing, then resume, which "
            "begins at step 0"
        )
        raise TrainingError(
            f"the checkpoint could not be written to {folder} ({reason}); {last}"
        ) from error


def write_weights(
    path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Replace one file of weights, all of it or nothing.

    Args:
        path: the .safetensors file; its folder is made if it is absent.
        weights: the tensors by name.
        metadata: words that the file holds beside them.

    Raises:
        TrainingError: if the disk is full or cannot be written.
        ValueError: where the path is a link, a folder or a device.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, packed(weights, metadata or {}), sync=True)
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(
            f"{path} could not be written ({reason}): make room or allow writing, then resume"
        ) from error


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint of a run folder.

    Raises:
        ValueError: for a folder without one, and for a file that is missing or damaged.
    """
    state = _state(folder)
    if state is None and (folder / "state").is_symlink():
        raise ValueError(
            f"{folder / 'state'} is a link, and a checkpoint is a folder: move the folder here"
        )
    if state is None:
        raise ValueError(
            f"{folder} holds no checkpoint to resume from: train without resume, or give another "
            "folder"
        )

    for name in (*PUBLISHED, BEST, "metrics.jsonl"):
        check_replaceable(folder / name)

    model, ema, optimizer, random = (
        read_weights(state / f"{name}.safetensors") for name in TENSORS
    )
    try:
        numbers = read_json(state / "state.json")
    except ValueError as error:
        raise ValueError(f"{error}: {REMEDY}") from None

    if not isinstance(numbers, dict) or numbers.get("format") != FORMAT:
        raise ValueError(
            f"{state / 'state.json'} is not of format {FORMAT}: resume with the version that wrote "
            "it"
        )
    if not isinstance(numbers.get("state"), dict):
        raise ValueError(f"{state / 'state.json'} holds no state: {REMEDY}")
    return Checkpoint(model, ema, optimizer, random, numbers["state"])


def state_weights(folder: Path) -> Path | None:
    """The file of the weights in the checkpoint; None without a checkpoint."""
    state = _state(folder)
    return None if state is None else state / "model.safetensors"


def exists(folder: Path) -> bool:
    """Whether the folder holds weights or a checkpoint."""
    return any((folder / name).exists() for name in ("state", "state.old", *PUBLISHED))


def has_state(folder: Path) -> bool:
    """Whether the folder holds a checkpoint that a run can go on from."""
    return any(os.path.lexists(folder / name) for name in ("state", "state.old"))


def discard(folder: Path) -> None:
    """Delete the checkpoint, weights and metrics of a run folder, and nothing else in it."""
    for name in ("state", "state.old", "state.new"):
        _remove(folder / name)
    for name in (*PUBLISHED, *(f"{name}.new" for name in PUBLISHED), BEST, "metrics.jsonl"):
        (folder / name).unlink(missing_ok=True)
    remove_leftovers(folder, (*_WHOLE, "report.html"))


def recover(folder: Path) -> None:
    """Delete the remains of a failed write: `state` in `folder` is the last complete checkpoint."""
    state, old = folder / "state", folder / "state.old"
    if _is_own(old) and not _is_own(state):
        _remove(state)
        os.rename(old, state)

    for leftover in (old, folder / "state.new", *(folder / f"{name}.new" for name in PUBLISHED)):
        _remove(leftover)
    remove_leftovers(folder, _WHOLE)


def _state(folder: Path) -> Path | None:
    """The folder of the last complete checkpoint."""
    found = (folder / name for name in ("state", "state.old") if _is_own(folder / name))
    return next(found, None)


def _is_own(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink()


def _remove(path: Path) -> None:
    """Delete a folder or a file; of a link, the link."""
    if _is_own(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _prepare(folder: Path, checkpoint: Checkpoint) -> None:
    """Write every file that may not fit on the disk, under names that no reader opens."""
    new = folder / "state.new"
    new.mkdir(parents=True)
    for name in TENSORS:
        metadata = checkpoint.metadata if name in ("model", "ema") else {}
        content = packed(getattr(checkpoint, name), metadata)
        write_new(new / f"{name}.safetensors", content, sync=True)

    numbers = {"format": FORMAT, "state": checkpoint.state}
    write_new(new / "state.json", json.dumps(numbers, allow_nan=False), sync=True)

    for name in PUBLISHED:
        try:
            os.link(new / name, folder / f"{name}.new")
        except OSError:  # a file system without hard links
            write_new(folder / f"{name}.new", (new / name).read_bytes(), sync=True)
    sync_folder(new)


def _swap(folder: Path) -> None:
    """Rename the files of `_prepare` to the names that are read."""
    state, new, old = (folder / name for name in ("state", "state.new", "state.old"))
    if os.path.lexists(state):
        os.rename(state, old)
    os.rename(new, state)

    for name in PUBLISHED:
        os.replace(folder / f"{name}.new", folder / name)
    sync_folder(folder)
    _remove(old)
