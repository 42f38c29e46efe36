"""Files that are written as a whole and read within bounds.

A file is written under a fresh name in its own folder and then renamed, so a reader meets the old
content or the new, and never follows a link that somebody left there. A file is read if it is a
regular one of a size that its kind can have: a FIFO is not waited for, and memory is taken after
its size is known.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Collection
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.new", re.DOTALL)
_LONGEST_NAME = 80

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def write_whole(path: Path, content: bytes | str, *, sync: bool = False) -> None:
    """Write a file as a whole: under a fresh name first, then renamed.

    Args:
        path: the file, a new one or one that is replaced.
        content: what it will hold; text is written as UTF-8.
        sync: whether file and folder are synchronised to the disk.

    Raises:
        ValueError: where the path is a link, a folder, a device or a FIFO.
        OSError: when the disk refuses; the old content is untouched.
    """
    check_replaceable(path)
    new = path.with_name(f".{path.name[:_LONGEST_NAME]}.{secrets.token_hex(4)}.new")

    try:
        write_new(new, content, sync=sync)
        os.replace(new, path)
    except BaseException as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # the name that the user knows
        raise

    if sync:
        sync_folder(path.parent)


def write_new(path: Path, content: bytes | str, *, sync: bool = False) -> None:
    """Write a file that does not exist yet.

    Args:
        path: the new file.
        content: what it will hold; text is written as UTF-8.
        sync: whether the file is synchronised to the disk.

    Raises:
        OSError: where something is there already, be it a link that leads nowhere, or when the disk
            refuses.
    """
    data = content.encode() if isinstance(content, str) else content
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY

    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def append(path: Path, content: str) -> None:
    """Append text to a file, which is made if it is absent.

    Args:
        path: the file.
        content: the text.

    Raises:
        ValueError: where the path is a link, a folder, a device or a FIFO.
        OSError: when the disk refuses.
    """
    check_replaceable(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW | _NO_WAIT | _BINARY
    with os.fdopen(os.open(path, flags, 0o666), "ab") as file:
        file.write(content.encode())


def sync_folder(folder: Path) -> None:
    """Synchronise the entries of a folder to the disk (on POSIX; elsewhere it cannot be opened)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_replaceable(path: Path) -> None:
    """ValueError where the path exists and is not a regular file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{path} is {_kind(mode)} and is not written to: move it away, or give another name"
        )


def make_folder(path: Path) -> None:
    """Make a folder inside a run folder, unless it is there.

    Raises:
        ValueError: where the path is a link or a file.
        OSError: when the disk refuses.
    """
    with suppress(FileExistsError):
        path.mkdir()
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode):
        raise ValueError(f"{path} is {_kind(mode)} and no folder: move it away")


def is_leftover(path: Path) -> bool:
    """Whether a file has a name that `write_whole` writes under, left by a process that died."""
    return _LEFTOVER.fullmatch(path.name) is not None and stat.S_ISREG(path.lstat().st_mode)


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Delete what a process that died in `write_whole` left behind.

    Args:
        folder: where to look.
        names: of the files that were to be written.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _LEFTOVER.fullmatch(path.name)
        if found and found["name"] in names and is_leftover(path):
            path.unlink(missing_ok=True)


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened for reading; a link to one may stand for it.

    Raises:
        ValueError: for a file that is absent or cannot be read, a folder, a device or a FIFO.
    """
    check_readable(path)
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY), "rb")
    except OSError as error:
        raise _unreadable(path, error) from None

    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"{path} is no regular file: give one that is")
    return file


def check_readable(path: Path) -> int:
    """The size of a regular file in bytes.

    Raises:
        ValueError: for a path that is absent, a folder, a device or a FIFO.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is {_kind(status.st_mode)}, not a file: give a regular file")
    return status.st_size


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: the file, or a link to it.
        most: the largest size that it may have, in bytes.

    Raises:
        ValueError: for a file that is absent, larger, or no regular one.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(most + 1) if size <= most else b""
    except OSError as error:
        raise _unreadable(path, error) from None

    if size > most or len(content) > most:
        raise ValueError(f"{path} has {size} bytes, and such a file has at most {most}")
    return content


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return ValueError(f"{path} cannot be read ({reason}): check the path")
