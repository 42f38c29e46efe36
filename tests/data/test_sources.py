"""Naming a source: what is meant when it is misspelt, and what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allegory.data import load


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("digit", "did you mean 'digits'"),
        ("swissroll", "did you mean 'swiss_roll'"),
        ("8_gaussians", "did you mean 'eight_gaussians'"),
        ("zzz", "choose from digits, moons"),
        ("", "choose from digits"),
        ("missing/folder", "no such file or folder"),
        ("missing.npz", "no such file or folder"),
        ("~/certainly/not/there.npy", "no such file or folder"),
        ("digits?size=32", r"leave \?size out"),
        ("moons?size=32", r"leave \?size out"),
        ("digits?colour=3", "unknown option 'colour=3'"),
        ("somewhere?size=0", "unknown option 'size=0'"),
        ("somewhere?size=big", "unknown option 'size=big'"),
    ],
)
def test_bad_sources_are_refused(source: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"give \.npy, \.npz, \.parquet or a folder"):
        load(str(path))


def test_arrays_are_not_resized(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((9, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="not for arrays"):
        load(f"{tmp_path / 'x.npy'}?size=8")


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(9, 4)))
    assert load("~/x.npy").spec.shape == (4,)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"needs sklearn.*; pip install 'allegory\[all\]'"):
        load("digits")


def test_importing_data_imports_nothing_heavy_beyond_torch() -> None:
    code = "import sys, allegory.data; print([m for m in ('sklearn', 'datasets', 'PIL', 'pyarrow') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "src"},
    )
    assert done.stdout.strip() == "[]"
