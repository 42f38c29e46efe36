"""The command line in a bare environment: an old locale, packages that are missing, closed pipes,
signals.
"""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from allegory.cli import main
from allegory.training import Interrupted

POSIX = {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}

WITHOUT = """
import sys
sys.modules[{package!r}] = None
from allegory.cli import main
main(["recipes"])
"""


def program(*words, **environment):
    command = [sys.executable, *words]
    more = {"env": os.environ | environment, "timeout": 120}
    return subprocess.run(command, capture_output=True, text=True, **more)


def test_the_package_is_a_program():
    done = program("-m", "allegory", "--help", **POSIX)
    assert done.returncode == 0 and "evaluate" in done.stdout and done.stdout.isascii()


class Old(io.TextIOWrapper):
    """Standard output of an old locale."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii", errors="strict")

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode("ascii")


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "RUN", "--compared", "0", "--samples", "4", "--draws", "1", "--steps", "1"],
        ["sample", "RUN", "--count", "2", "--steps", "1"],
        ["info", "RUN"],
        ["recipes"],
        ["verify", "--section", "vae"],
    ],
)
def test_a_locale_of_ascii_letters_only(small_run, monkeypatch, words):
    out, err = Old(), Old()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    main([str(small_run[0]) if word == "RUN" else word for word in words])
    assert out.text()
    if words[0] == "evaluate":
        assert "Frechet distance" in out.text()


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("accelerate", ["train", "toy", "--steps", "1", "--out", "NEW"]),
        ("sklearn", ["train", "digits", "--steps", "1", "--out", "NEW"]),
        ("PIL", ["train", "images", "--data", "FOLDER", "--steps", "1", "--out", "NEW"]),
        ("datasets", ["train", "images", "--data", "hub:a/b", "--steps", "1", "--out", "NEW"]),
        ("pyarrow", ["train", "images", "--data", "x.parquet", "--steps", "1", "--out", "NEW"]),
        ("matplotlib", ["sample", "RUN", "--count", "2", "--steps", "1"]),
        ("constriction", ["compress", "RUN", "DATA", "NEW.bits", "--steps", "2", "--limit", "2"]),
    ],
)
def test_a_missing_package_is_one_line(small_run, tmp_path, monkeypatch, fails, package, words):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    parts = [name for name in sys.modules if name.startswith(f"{package}.")]
    for name in (package, *parts):
        monkeypatch.setitem(sys.modules, name, None)
    places = {"RUN": small_run[0], "DATA": small_run[1], "FOLDER": tmp_path / "pictures"}
    said = fails(*[places.get(word, word) for word in words])
    assert package in said and "pip install 'allegory[" in said


@pytest.mark.thorough
@pytest.mark.parametrize("package", ["tyro", "rich"])
def test_without_the_parser_too(package):
    done = program("-c", WITHOUT.format(package=package))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"{package} is not installed; pip install" in done.stderr


def test_an_error_of_the_package_itself_is_shown_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "allegory.recipes", None)
    with pytest.raises(ImportError):
        main(["recipes"])


@pytest.mark.parametrize(
    ("words", "status"),
    [(["recipes"], 141), (["--help"], 141)],
)
def test_a_reader_that_has_gone_is_no_error(words, status):
    """As in `allegory verify | head -1`, where 1 would mean that an equation failed."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "allegory", *words]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert done.returncode == status
    assert not done.stderr


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("stopped at step 3"), 130, "stopped at step 3"),
        (Interrupted("stopped at step 3", 15), 143, "stopped at step 3"),
        (MemoryError(), 2, "not enough memory; take a smaller batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 1e12"), 2, "not enough memory"),
        (
            OSError(28, "No space left on device", "a.png"),
            2,
            "a.png: No space left on device; make",
        ),
        (
            PermissionError(13, "Permission denied", "a"),
            2,
            "choose one that you may read and write",
        ),
    ],
)
def test_every_end_has_its_status_and_one_line(monkeypatch, capsys, error, status, says):
    def stop(self):
        raise error

    monkeypatch.setattr("allegory.cli.recipes.Recipes.run", stop)
    with pytest.raises(SystemExit) as end:
        main(["recipes"])
    said = capsys.readouterr().err
    assert end.value.code == status and says in said and said.count("\n") == 1
