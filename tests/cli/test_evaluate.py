"""`allegory evaluate`: which items are measured, and the likelihood of each."""

import csv
import errno
import json

import numpy as np
import pytest
import torch

from allegory.cli import main
from allegory.data import load
from allegory.evaluation import BoundConfig, item_scores
from allegory.recipes import RunFolder

QUICK = ("--compared", "0", "--samples", "4", "--draws", "2", "--steps", "1")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """The report is tested elsewhere, and takes a second."""
    monkeypatch.setattr("allegory.cli.files.sections", lambda *arguments: [])


def evaluated(capsys, *words):
    capsys.readouterr()
    main(["evaluate", *map(str, words), *QUICK, "--json"])
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_all_items_of_a_file_are_measured_unless_told(small_run, tmp_path, capsys):
    run, data = small_run
    found, said = evaluated(capsys, run, "--data", data)
    assert found["measured"] == found["available"] == found["likelihood"]["count"] == 60
    assert found["items"] == f"all 60 items of {data}"
    assert "the run learned from most of these items" in said
    assert found["histogram"] is None and found["frechet"]["train"] is None

    some, _ = evaluated(capsys, run, "--data", data, "--limit", "10")
    assert (some["measured"], some["available"]) == (10, 60)
    assert some["items"] == f"10 of the 60 items of {data}, chosen at random"

    own, said = evaluated(capsys, run)
    assert own["measured"] == 3 and own["items"] == f"all 3 test items of {data}"
    assert "learned" not in said and own["histogram"] is not None

    x, labels = (np.load(data)[name] for name in ("x", "labels"))
    named = tmp_path / "named.npz"
    np.savez(named, x=x[:40], labels=labels[:40], x_test=x[40:], labels_test=labels[40:])
    found, _ = evaluated(capsys, run, "--data", named)
    assert found["items"] == f"all 20 test items of {named}"


def test_a_line_for_each_item_with_its_place_in_the_file(small_run, tmp_path, capsys):
    run, data = small_run
    file = tmp_path / "scores.csv"
    words = ("--data", data, "--limit", "20", "--per-item", file)
    found, _ = evaluated(capsys, run, *words)
    assert found["per_item"] == str(file)

    with file.open() as lines:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(lines)]
    labels = np.load(data)["labels"]
    assert len(rows) == 20 and [row["index"] for row in rows] == sorted(r["index"] for r in rows)
    assert [row["label"] for row in rows] == [labels[int(row["index"])] for row in rows]
    assert np.mean([r["nats"] for r in rows]) == pytest.approx(found["likelihood"]["nats"]["mean"])
    given = np.mean([row["bits_per_dim_given_label"] for row in rows])
    assert given == pytest.approx(found["conditional"]["total"]["mean"])
    for row in rows:
        terms = row["reconstruction"] + row["prior"] + row["diffusion"]
        assert terms == pytest.approx(row["bits_per_dim"])
        assert row["nats"] == pytest.approx(row["bits_per_dim"] * 16 * np.log(2))

    model = RunFolder.open(run).model()
    items = load(str(data)).all_as_test().test.take(torch.tensor([int(r["index"]) for r in rows]))
    again = item_scores(model, items, BoundConfig(0, 2))
    assert again.csv() == file.read_text() and len(again) == 20


def test_figures_are_printed_where_the_report_cannot_be_written(small_run, capsys, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", "report.html")

    run, _ = small_run
    monkeypatch.setattr("allegory.cli.files.write_whole", refused)
    found, said = evaluated(capsys, run)
    assert found["measured"] == 3 and "report" not in found
    assert f"no report, {run}: Permission denied; copy the folder to have one" in said


def test_files_and_numbers_that_are_refused_before_any_work(small_run, tmp_path, fails):
    run, _ = small_run
    (tmp_path / "mine.csv").write_text("mine")
    for words, says in (
        (["--per-item", tmp_path / "mine.csv"], "exists already; give --overwrite"),
        (["--per-item", tmp_path / "a.txt"], "ends in .csv"),
        (["--per-item", tmp_path / "no" / "a.csv"], "no such folder"),
        (["--limit", "1"], "limit=1; give a whole number, 2"),
        (["--limit", "-3"], "limit=-3"),
        (["--draws", 10**12], "draws=1000000000000; give a whole number, 1 to 100,000"),
        (["--samples", 10**12], "give a whole number, 2 to 1,000,000"),
        (["--importance", 10**12], "importance=1000000000000; give"),
        (["--compared", "1"], "compared=1; give"),
        (["--steps", 10**9], "steps=1000000000; give a whole number, 1 to 100,000"),
        (["--seed", "-1"], "seed=-1"),
        (["--seed", 2**64], "seed=18446744073709551616"),
    ):
        assert says in fails("evaluate", run, *words)
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_a_test_set_of_one_item_is_one_line(small_run, tmp_path, fails):
    x, y = (np.load(small_run[1])[name] for name in ("x", "labels"))
    np.savez(tmp_path / "one.npz", x=x[:40], y=y[:40], x_test=x[40:41], y_test=y[40:41])
    assert "one: 1 test item; a standard error needs" in fails(
        "evaluate", small_run[0], "--data", tmp_path / "one.npz"
    )
