"""The arrays in .npy and .npz files, read within bounds.

A file may come from anybody, so what it declares is compared with what is there before memory is
taken. An array's shape and type must give the number of bytes that follow its header. The members
of an .npz must be so long, decompressed, as the archive says, and together

    at most 100 times as long as the file, where they take more than 64 MB,
    at most half of the memory that is free.

Data of more than 64 MB that compress better than 100 to 1 are read from an uncompressed file, as
`numpy.savez` writes it. Nothing is unpickled: a file holds numbers and strings only.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..files import open_regular
from ..lookup import printable
from .memory import free_memory

Arrays = dict[str, NDArray[np.generic]]

MOST_MEMBERS = 1000
"""The most arrays of a file."""
MOST_TIMES = 100
"""How many times as long as the file its arrays may be ..."""
MOST_EXPANDED = 64 * 2**20
"""... if they take more bytes than this."""

_KINDS = "biufcSUmM"
_MOST_HEADER = 10_000
_MOST_AXES = 32
_MOST_NAME = 100
_CHUNK = 2**20
_MOST_AT_ONCE = 2**24
"""Bytes that are read from an archive at once, so that a directory of 2^24 bytes is refused."""
_ENCRYPTED = 1
_REMEDY = "write it again with numpy.save or numpy.savez"

_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise for files that are not theirs."""


class _Refused(Exception):
    """A file that can be read and is not taken, with the remedy."""


def read_arrays(path: Path) -> Arrays:
    """The arrays of the .npy or .npz file at path by name; a single one is called x.

    Raises:
        ValueError: in one line, for a file that is absent, damaged, no regular file, too large, or
            that holds Python objects.
    """
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            arrays = _arrays(file)
        except _Refused as error:
            raise ValueError(f"{printable(path)}: {error}") from None
        except _DAMAGED as error:
            system = error.strerror if isinstance(error, OSError) else None
            reason = system or "not numpy's format, or damaged"
            raise ValueError(f"{printable(path)}: cannot be read ({reason}); {_REMEDY}") from None
    return {"x": next(iter(arrays.values()))} if len(arrays) == 1 else arrays


def _arrays(file: BinaryIO) -> Arrays:
    """The arrays of an open file, by its first bytes."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(npy.MAGIC_PREFIX))
    file.seek(0)
    if start.startswith(b"PK"):
        whole: Any = _Archive(file, size)
        with zipfile.ZipFile(whole) as archive:
            return _members(archive, size)
    _check_memory(size)

    return {"x": _array(file, size, "the file")}


def _members(archive: zipfile.ZipFile, size: int) -> Arrays:
    """The arrays of an archive of `size` bytes."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _Refused(f"{len(members)} arrays, and {MOST_MEMBERS} are read; {_REMEDY}")
    for member in members:
        _check_member(member)
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names):
        raise _Refused(f"holds an array twice; {_REMEDY}")

    whole = sum(member.file_size for member in members)
    if whole > max(MOST_EXPANDED, MOST_TIMES * size):
        raise _Refused(
            f"its arrays would take {whole:,} bytes, more than {MOST_TIMES} times the file; "
            "write it uncompressed, with numpy.savez"
        )
    _check_memory(whole)

    arrays = {}
    for name, member in zip(names, members, strict=True):
        with archive.open(member) as stream:
            arrays[name] = _array(stream, member.file_size, name)
    return arrays


def _check_member(member: zipfile.ZipInfo) -> None:
    """Refuse what `numpy.savez` and `savez_compressed` do not write."""
    name = member.filename
    if len(name) > _MOST_NAME or not name.isprintable():
        raise _Refused(
            f"an array has a name of {len(name)} characters; give short names of letters"
        )
    if not name.endswith(".npy"):
        raise _Refused(f"holds {name!r}, which is no array; {_REMEDY}")
    if member.flag_bits & _ENCRYPTED:
        raise _Refused(f"{name!r} is encrypted; {_REMEDY}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Refused(f"{name!r} is compressed in another way than numpy does; {_REMEDY}")


def _array(stream: Any, size: int, name: str) -> NDArray[np.generic]:
    """The array in a stream of `size` bytes.

    Args:
        stream: where the header begins.
        size: of header and numbers.
        name: what messages call it.
    """
    counted = _Counted(stream)
    shape, fortran, dtype = _header(counted)
    if dtype.hasobject:
        raise _Refused("holds Python objects, which are never unpickled; save plain numbers")
    names = dtype.names or ()  # of the columns of a table
    fields = [dtype[name] for name in names] or [dtype]
    if any(each.kind not in _KINDS or each.itemsize == 0 for each in fields):
        raise _Refused(f"{name!r} has dtype {str(dtype)[:40]}; save numbers, e.g. as float32")

    count = _count(shape)
    there = size - counted.done
    if count * dtype.itemsize != there:
        raise _Refused(
            f"{name!r} should have {count * dtype.itemsize:,} bytes by its header and has "
            f"{there:,}: it is cut short or altered, and cannot be read; {_REMEDY}"
        )

    flat = np.empty(count, dtype)
    _fill(stream, flat.view(np.uint8).data)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order (True: Fortran's) and type of the array that follows."""
    version = npy.read_magic(stream)
    readers: Any = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise _Refused(f"format {version[0]}.{version[1]} of .npy is not read; {_REMEDY}")
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[version](
        stream, max_header_size=_MOST_HEADER
    )

    return found


def _count(shape: Iterable[Any]) -> int:
    """The number of numbers. ValueError for what is no shape."""
    axes = tuple(shape)
    if len(axes) > _MOST_AXES or not all(type(axis) is int and 0 <= axis < 2**62 for axis in axes):
        raise ValueError("no shape of an array")
    return math.prod(axes)


def _fill(stream: Any, target: memoryview) -> None:
    """Read as many bytes as the target holds; reading one more byte has an archive's CRC checked.

    ValueError where there are fewer.
    """
    done = 0
    while done < len(target):
        read = stream.readinto(target[done : done + _CHUNK])
        if not read:
            raise ValueError("cut short")
        done += read
    stream.read(1)


def _check_memory(size: int) -> None:
    """Refuse what takes more than half of the memory that is free."""
    free = free_memory()
    if free is not None and size > free / 2:
        raise _Refused(
            f"its arrays take {size:,} bytes, more than half of the {free:,} that are free; "
            "give fewer items, or a smaller type"
        )


class _Counted:
    """A stream that counts the bytes that were read of it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.done = 0

    def read(self, size: int) -> bytes:
        found: bytes = self.stream.read(min(size, _CHUNK))
        self.done += len(found)
        return found


class _Archive:
    """A file that refuses to be read in large pieces.

    `zipfile` reads the directory of an archive at once, however many members it names.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.tell())
        wanted = left if size < 0 else min(size, left)
        if wanted > _MOST_AT_ONCE:
            raise zipfile.BadZipFile("its directory is too large")
        return self.file.read(wanted)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True
