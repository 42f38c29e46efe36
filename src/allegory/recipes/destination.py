"""The folder that a run is written to: what may be done with it, and the lock on it.

A folder is empty (absent, or with nothing but what a start leaves that was killed at once), holds a
run that has begun (run.json, and no checkpoint yet), holds a run with a checkpoint, or holds
something else, which is never written to.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..data import Dataset
from ..files import is_leftover
from ..training import TrainingError, discard
from ..training.checkpoint import PUBLISHED, has_state
from ..training.counters import Counters
from ..training.group import Group
from ..training.output import Output
from .config import Run
from .differences import check_same_model, data_to_continue
from .lock import LOCK, FolderLock, locked
from .run_folder import RunFolder

_LEFTOVERS = {LOCK, "state.new", "run.json.new", *(f"{name}.new" for name in PUBLISHED)}


@dataclass(frozen=True)
class Destination:
    """The folder that a run is written to, and what is done where it holds a run already.

    Args:
        path: the run folder.
        resume: continue the run in it.
        overwrite: replace the run in it.
        parts: names of folders in it that belong to the run, and do not make it begun.

    Raises:
        ValueError: for both `resume` and `overwrite`.
    """

    path: Path
    resume: bool = False
    overwrite: bool = False
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two answers."""
        if self.resume and self.overwrite:
            raise ValueError(
                "--resume and --overwrite (resume and overwrite in Python): give one of them"
            )

    def check(self) -> None:
        """ValueError where starting, resuming or overwriting would harm what is in the folder."""
        path = self.path
        is_empty = not os.path.lexists(path) or (
            path.is_dir() and not set(_content(path)) - {*self.parts}
        )
        is_run = (path / "run.json").is_file()

        if self.resume and is_empty:
            raise ValueError(
                f"--out {str(path)!r}: holds no run to go on with; check the path, or leave "
                "--resume out to start one (in Python resume=True)"
            )
        if not is_empty and not is_run:
            raise ValueError(f"--out {str(path)!r}: exists and is no run; give another folder")
        if is_run and not (self.resume or self.overwrite):
            raise ValueError(
                f"--out {str(path)!r}: exists already; give --resume to go on, --overwrite "
                "(in Python resume=True, overwrite=True), or another folder"
            )
        if self.resume and not has_state(path) and _has_weights(path):
            raise ValueError(
                f"--resume: {path} holds weights but no state/ to go on from; restore it, start "
                "again with --overwrite (in Python overwrite=True), or give another folder"
            )

    @contextmanager
    def opened(self, group: Group, initial: Path | None = None) -> Iterator[OpenDestination]:
        """Inside the block, no other run is trained in the folder.

        Args:
            group: the processes that train the run; the first of them holds the lock.
            initial: another run whose weights a new run begins with; None: random weights.

        Raises:
            ValueError: for a folder that another run is trained in, or as `check`.
        """
        with ExitStack() as stack:
            lock = group.first(lambda: self._locked(stack))
            begun = group.every(lambda: RunFolder.open(self.path) if self.resume else None)
            if begun is not None and begun.initial is not None:
                initial = Path(begun.initial)
            yield OpenDestination(self, lock, begun, initial)

    def _locked(self, stack: ExitStack) -> FolderLock:
        """The lock on the folder, which `stack` will release."""
        is_locked = (self.path / "run.json").is_file() and (self.path / LOCK).is_file()
        if not is_locked:  # else the lock is tried first: another process may train
            self.check()
        lock = stack.enter_context(locked(self.path))
        self.check()  # again, because another process may have been quicker
        return lock


@dataclass(frozen=True)
class OpenDestination:
    """A destination that no other run is trained in.

    Args:
        destination: the folder, and what is done with a run in it.
        lock: the lock on it, in the process that holds it.
        begun: the run to continue; None for a new one.
        initial: another run whose weights it begins with, or began; None: random weights.
    """

    destination: Destination
    lock: FolderLock | None
    begun: RunFolder | None
    initial: Path | None

    @property
    def path(self) -> Path:
        """The folder."""
        return self.destination.path

    @property
    def is_resumed(self) -> bool:
        """Whether there is a checkpoint to continue; a run may have begun without one so far."""
        return self.begun is not None and has_state(self.path)

    def data(self, dataset: Dataset) -> Dataset:
        """The data, as the run to continue describes them. ValueError where they are others."""
        return dataset if self.begun is None else data_to_continue(dataset, self.begun)

    def output(self, run: Run, dataset: Dataset) -> Output:
        """The folder as `train` writes to it, for a run on a data set.

        Raises:
            ValueError: where the run to continue has another model.
        """
        if self.begun is not None:
            check_same_model(run, self.begun.run, self.path)
        return Output(self.path, partial(self._begin, run, dataset), self._check)

    def _begin(self, run: Run, dataset: Dataset, now: Counters) -> None:
        """Write run.json, after deleting the run that is replaced.

        Where the budget of a run to continue is spent already, run.json keeps the one it holds.
        """
        if self.lock is not None:
            self.lock.check()
        if self.destination.overwrite:
            clear_run(self.path)

        begun = self.begun
        if begun is not None:
            run = replace(run, recipe=begun.run.recipe)
        if begun is not None and run.training.progress(now.step, now.seconds) >= 1:
            run = replace(run, training=begun.run.training)
        fingerprint = dataset.fingerprint if begun is None else begun.fingerprint
        initial = None if self.initial is None else os.path.abspath(self.initial)
        RunFolder.create(self.path, run, dataset.spec, fingerprint, initial)

    def _check(self) -> None:
        """TrainingError where the folder, or run.json, is no longer there."""
        if self.lock is not None:
            self.lock.check()
        if not (self.path / "run.json").exists():
            raise TrainingError(
                f"{self.path / 'run.json'} was deleted while the run trained, and the run ends "
                "here; train again"
            )


def _content(folder: Path) -> list[str]:
    """The names in a folder, but for what a start leaves that was killed at once."""
    return [
        path.name
        for path in folder.iterdir()
        if path.name not in _LEFTOVERS and not is_leftover(path)
    ]


def _has_weights(folder: Path) -> bool:
    return any((folder / name).exists() for name in PUBLISHED)


def clear_run(path: Path) -> None:
    """Remove what a run writes besides run.json, and nothing else."""
    discard(path)
    (path / "report.html").unlink(missing_ok=True)
    shutil.rmtree(path / "samples", ignore_errors=True)
