"""The lock of a run folder: one process at a time trains in it.

RUN/.lock is an empty file that the training process keeps locked by flock(2). The kernel releases
the lock when the process ends, however it ends, so that a file that is left behind locks nothing.
Reading a run takes no lock. Where the system has no flock (Windows, some network file systems),
training goes on without one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..training import TrainingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TRIES = 100
"""So often is a lock file opened anew that another process has just deleted."""


class FolderLock:
    """A run folder that this process trains in.

    Args:
        folder: the run folder.
        descriptor: of its lock file, open and locked.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._file = os.fstat(descriptor)

    def check(self) -> None:
        """TrainingError where the folder has been deleted or renamed since it was locked."""
        if not self.is_in_place():
            raise TrainingError(
                f"{self.folder} was deleted or renamed while the run trained in it, and the run "
                "ends here; resume it under its new name, or train again"
            )

    def is_in_place(self) -> bool:
        """Whether the lock file in the folder is the one that this process has locked."""
        try:
            now = os.lstat(self.folder / LOCK)
        except OSError:
            return False
        return os.path.samestat(now, self._file)


@contextmanager
def locked(folder: Path) -> Iterator[FolderLock]:
    """Inside the block, no other process trains in a folder.

    A folder and a lock file that were made for this are deleted after the block, the folder only if
    it is empty.

    Args:
        folder: the run folder; it is made if it is absent.

    Raises:
        ValueError: where another process trains in it, or its lock file is a link or no file.
        OSError: where it cannot be written.
    """
    absent = [each for each in (folder, *folder.parents) if not each.exists()]

    descriptor, is_new = _locked_file(folder)
    try:
        yield (lock := FolderLock(folder, descriptor))
    finally:
        if is_new and lock.is_in_place():
            with suppress(OSError):
                os.unlink(folder / LOCK)
        os.close(descriptor)
        with suppress(OSError):
            for each in absent:
                each.rmdir()


def _locked_file(folder: Path) -> tuple[int, bool]:
    """The open and locked file of a folder, and whether it was made here."""
    path = folder / LOCK
    for _ in range(_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # deleted by another process in this moment
            descriptor, is_new = _opened(path)
            try:
                _lock(descriptor, folder)
                if FolderLock(folder, descriptor).is_in_place():
                    return descriptor, is_new
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    raise ValueError(f"{path}: other processes make and delete it; try again later")


def _opened(path: Path) -> tuple[int, bool]:
    """The lock file, opened, and whether it is new. ValueError for a link, a device or a FIFO."""
    try:
        return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise ValueError(f"{path}: is no regular file; delete it") from None
    return os.open(path, _FLAGS), False


def _lock(descriptor: int, folder: Path) -> None:
    """Lock an open file, where the system can. ValueError where another process has locked it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"--out {str(folder)!r}: another process trains in it; wait for its end, or give "
            "another folder"
        ) from None
    except OSError:  # a file system without locks
        return
