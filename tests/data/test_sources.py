"""Naming a source: what is meant when it is misspelt, and what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.registries import forget_additions

from allegory import cli
from allegory.data import SOURCES, Dataset, load
from allegory.lookup import Note


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("digit", "did you mean 'digits'"),
        ("swissroll", "did you mean 'swiss_roll'"),
        ("8_gaussians", "did you mean 'eight_gaussians'"),
        ("zzz", "choose from digits, captions, moving_digits, series, moons"),
        ("", "choose from digits"),
        ("missing/folder", "no such file or folder"),
        ("missing.npz", "no such file or folder"),
        ("~/certainly/not/there.npy", "no such file or folder"),
        ("digits?size=32", r"leave \?size out"),
        ("moons?size=32", r"leave \?size out"),
        ("digits?colour=3", "unknown option 'colour=3'"),
        ("digits?binarize", "unknown option 'binarize'"),
        ("digits?binarize=\x1b[31m", r"'binarize=\\x1b\[31m'; there are \?binarize=dynamic and"),
        ("moons?seed=first", r"option \?seed=first; give a whole number"),
        ("digits:3", "write it as 'digits'"),
        ("hub", "write it as 'hub:NAME'"),
    ],
)
def test_bad_sources_are_refused(source: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers.doc"
    path.write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"give \.npy, \.npz, \.parquet, \.csv, \.txt or a folder"):
        load(str(path))


def test_arrays_are_not_resized(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((9, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"leave \?size out"):
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
    heavy = ("sklearn", "datasets", "PIL", "pyarrow")
    code = f"import sys, allegory.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "src"},
    )
    assert done.stdout.strip() == "[]"


def spirals(*, count: int = 40, turns: float | None = 2.0, closed: bool = False, seed: int = 0):
    angle = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * (turns or 1.0)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    return Dataset.from_arrays(x, name=f"closed={closed}")


def test_a_source_from_outside_is_loaded_by_name_with_its_options(monkeypatch) -> None:
    forget_additions(monkeypatch, SOURCES)
    SOURCES.register("spirals", spirals, "an arc")
    assert len(load("spirals").train) == 36
    several = load("spirals?count=100&turns=0.5&closed=true")
    assert len(several.train) == 90 and several.name == "closed=True"
    assert torch.equal(load("spirals?seed=3").train.x, load("spirals", seed=3).train.x)
    assert not torch.equal(load("spirals").train.x, load("spirals", seed=3).train.x)
    for source, says in (
        ("spirals?size=3", r"leave \?size out.*\?count=, \?turns=, \?closed=, \?seed="),
        ("spirals?count=many", "give a whole number"),
        ("spirals?turns=x", "give a number"),
        ("spirals?closed=1", "give true or false"),
        ("spiral", "did you mean 'spirals'"),
    ):
        with pytest.raises(ValueError, match=says):
            load(source)


def test_every_source_has_a_line_of_help() -> None:
    table = SOURCES.markdown()
    assert all(f"| `{name}` | " in table and SOURCES.entry(name).help for name in SOURCES)


def test_notes_are_warned_of(tmp_path: Path) -> None:
    three_images_and_a_text(tmp_path)
    with pytest.warns(Note, match=r": 1 file is no image \(\.txt\) and was skipped"):
        load(str(tmp_path))


def test_the_command_line_prints_a_note_in_one_line_and_escapes_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "\x1b[31mred"
    folder.mkdir()
    three_images_and_a_text(folder)
    monkeypatch.setattr(cli, "_run", lambda arguments: load(*arguments))
    cli.main([str(folder)])
    said = capsys.readouterr().err
    assert said == "\\x1b[31mred: 1 file is no image (.txt) and was skipped\n"

    (folder / "0.png").write_bytes(b"")
    for place in (str(folder), str(folder / "\x1b[31m.csv")):
        with pytest.raises(SystemExit):
            cli.main([place])
        said = capsys.readouterr().err.removesuffix("\n")
        assert said.startswith("allegory: ") and said.isprintable() and "\\x1b[31m" in said


def three_images_and_a_text(folder: Path) -> None:
    for i in range(3):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(folder / f"{i}.png")
    (folder / "a.txt").write_text("no image")
