"""Array files that were made to harm: one line, before memory is taken; honest ones are read."""

import io
import os
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from allegory.data import array_files
from allegory.data.array_files import read_arrays

GOOD = np.arange(12, dtype=np.float32).reshape(4, 3)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def declares(header: str) -> bytes:
    """An .npy file of 48 bytes of numbers with this header."""
    text = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(48)


def shaped(shape: str, descr: str = "'<f4'") -> bytes:
    return declares(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return file.getvalue()


def refused(path: Path, content: bytes) -> str:
    """The error of a file of this content, after which little memory was taken."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with warnings.catch_warnings(), pytest.raises(ValueError) as caught:
            warnings.simplefilter("error")
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20 + len(content) / 4
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        GOOD,
        np.asfortranarray(GOOD),
        GOOD.astype(">f8"),
        GOOD > 3,
        np.array(["cat", "dog"]),
        np.array([b"cat", b"dog"]),
        np.array(7),
        np.zeros((0, 3)),
        np.zeros((5, 0, 2), np.uint8),
    ],
)
@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, array: np.ndarray, save) -> None:
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, array)
    found = read_arrays(path)["x"]
    assert found.dtype == array.dtype and np.array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (shaped("(1000000000000, 3)"), "12,000,000,000,000 bytes by its header and has 48"),
        (shaped("(1000000000000000000000000000000,)"), "cannot be read"),
        (shaped("(-4, -3)"), "cannot be read"),
        (shaped("(True, 12)"), "cannot be read"),
        (shaped("(4, 3.0)"), "cannot be read"),
        (shaped("12"), "cannot be read"),
        (shaped("(" + "1, " * 40 + "12)").replace(b" " * 9, b""), "cannot be read"),
        (shaped("(11,)"), "should have 44 bytes"),
        (shaped("(13,)"), "should have 52 bytes"),
        (shaped("(1000000000000,)", "'<U0'"), "save numbers"),
        (shaped("(12,)", "'|V4'"), "save numbers"),
        (shaped("(6,)", "[('a', '<f4', (2,))]"), "save numbers"),
        (shaped("(12,)", "[('a', [('b', '<f4')])]"), "save numbers"),
        (shaped("(12,)", "[('a', '|V4')]"), "save numbers"),
        (shaped("(6,)", "'|O'"), "never unpickled"),
        (shaped("(12,)", "'<q9'"), "cannot be read"),
        (shaped("(12,)", "'\\d'"), "cannot be read"),
        (declares("(" * 90), "cannot be read"),
        (declares("12L"), "cannot be read"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(99), "cannot be read"),
        (b"\x93NUMPY\x07\x00" + bytes(99), "not read"),
        (b"", "cannot be read"),
    ],
)
def test_a_header_of_npy_that_lies(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path / "a.npy", content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive({"x.npy": npy(np.zeros(70 * 2**20, np.uint8))}), "more than 100 times the file"),
        (archive({f"{i}.npy": b"" for i in range(1001)}), "1001 arrays"),
        (archive({"x.npy": npy(GOOD), "y.npy": b"no array"}), "cannot be read"),
        (archive({"x.npy": npy(GOOD), "README": b"hello"}), "'README', which is no array"),
        (archive({"x.npy": npy(GOOD)}, zipfile.ZIP_BZIP2), "in another way than numpy"),
        (archive({"x\x1b]0;owned\a.npy": npy(GOOD)}), "short names of letters"),
        (archive({"x" * 200 + ".npy": npy(GOOD)}), "a name of 204 characters"),
        (archive({"x.npy": npy(GOOD)[:-1]}), "should have 48 bytes by its header and has 47"),
        (archive({"x.npy": shaped("(10, 10000000000)")}), "400,000,000,000 bytes by its header"),
    ],
)
def test_an_archive_that_lies(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path / "a.npz", content)


def test_members_that_occur_twice(tmp_path: Path) -> None:
    with warnings.catch_warnings(), io.BytesIO() as file:
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file, "w") as written:
            for _ in range(2):
                written.writestr("x.npy", npy(GOOD))
        content = file.getvalue()
    assert "an array twice" in refused(tmp_path / "a.npz", content)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ((8, 6), 1, "encrypted"),
        ((10, 8), 99, "in another way than numpy"),
        ((24, 22), 2**31, "more than 100 times"),
        ((16, 14), 12345, "cannot be read"),
    ],
)
def test_fields_of_the_directory(tmp_path: Path, field, value: int, said: str) -> None:
    """The same field is changed in the directory and in front of the member."""
    content = bytearray(archive({"x.npy": npy(GOOD)}))
    for place, signature in zip(field, (b"PK\x01\x02", b"PK\x03\x04"), strict=True):
        form = "<H" if place <= 10 and value < 2**16 else "<I"
        struct.pack_into(form, content, content.index(signature) + place, value)
    assert said in refused(tmp_path / "a.npz", bytes(content))


def test_a_directory_of_a_million_members(tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + bytes(42)
    size = len(entry) * 400_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, size, 0, 0)
    assert "cannot be read" in refused(tmp_path / "a.npz", entry * 400_000 + end)


def test_data_of_mostly_zeros_are_read(tmp_path: Path) -> None:
    """Up to 64 MB whatever the ratio; beyond it where it is below 100, and uncompressed."""
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((500, 64, 64), np.uint8))
    assert read_arrays(tmp_path / "a.npz")["x"].shape == (500, 64, 64)


def test_what_does_not_fit_into_memory(tmp_path: Path, monkeypatch) -> None:
    """A file with holes may be as large as it likes; so may an honest one on a small machine."""
    monkeypatch.setattr(array_files, "free_memory", lambda: 300)
    np.save(tmp_path / "a.npy", GOOD)
    np.savez(tmp_path / "b.npz", x=GOOD)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ValueError, match="more than half of the 300 that are free"):
            read_arrays(tmp_path / name)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.npy")
    (tmp_path / "folder.npy").mkdir()
    for name in ("fifo.npy", "folder.npy", "absent.npy", "\0.npy"):
        with pytest.raises(ValueError, match=r"\.npy"):
            read_arrays(tmp_path / name)
