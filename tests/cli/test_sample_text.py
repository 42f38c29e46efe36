"""Samples of text and of categories end as text, in a file or one each."""

import json
from pathlib import Path

import pandas as pd
import pytest

from allegory.cli import main
from allegory.data import load

SMALL = ("--model.network.width", "16", "--model.network.depth", "1", "--steps", "1")


def run_of(folder, data):
    main(["train", "heartbeat", "--data", str(data), *SMALL, "--out", str(folder / "run")])
    return str(folder / "run")


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "book.txt").write_text("ab ba " * 40)
    return run_of(folder, f"{folder}/book.txt?unit=characters&length=6")


def test_text_is_the_kind_of_file_that_is_made(text_run, tmp_path, capsys, fails):
    capsys.readouterr()
    main(["sample", text_run, "--count", "3", "--json"])
    file = json.loads(capsys.readouterr().out)["file"]
    lines = Path(file).read_text().splitlines()
    assert file.endswith("samples-1.txt") and lines[::2] == [f"===== {i} =====" for i in (1, 2, 3)]
    assert all(len(line) == 6 and {*line} <= {*"ab "} for line in lines[1::2])

    main(["sample", text_run, "--seeds", "1:3", "--out", f"{tmp_path}/drawn/"])
    files = sorted((tmp_path / "drawn").iterdir())
    assert [each.name for each in files] == ["000001.txt", "000002.txt"]
    assert [each.read_text() for each in files] == lines[3::2]

    again = fails("sample", text_run, "--out", tmp_path / "drawn")
    assert "holds texts already" in again
    assert "ends in .txt (text), .npz or .npy" in fails("sample", text_run, "--out", "a.png")


def test_info_names_the_vocabulary(text_run, capsys):
    capsys.readouterr()
    main(["info", text_run, "--json"])
    about = json.loads(capsys.readouterr().out)
    assert about["vocabulary"] == "3 characters ' ab'" and about["vocabulary"] in about["items"]


def test_categories_are_a_table(tmp_path, capsys, fails):
    table = pd.DataFrame({"colour": ["red", "blue"] * 30, "sold": [True, True, False] * 20})
    table.to_csv(tmp_path / "table.csv", index=False)
    run = run_of(tmp_path, tmp_path / "table.csv")
    capsys.readouterr()
    main(["sample", run, "--count", "8", "--json"])
    file = json.loads(capsys.readouterr().out)["file"]
    drawn = pd.read_csv(file)
    assert [*drawn.columns] == ["colour", "sold"] and len(drawn) == 8
    assert {*drawn.colour} <= {"red", "blue"} and load(file).spec.columns == ("colour", "sold")

    assert "ends in .csv (a table), .npz" in fails("sample", run, "--out", f"{tmp_path}/drawn/")
    assert "ends in .csv (a table), .npz" in fails("sample", run, "--out", "a.txt")
