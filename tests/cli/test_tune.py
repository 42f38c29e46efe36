"""`allegory tune`: a sampler is fitted, kept with the run, and used for the same weights."""

import json
import shutil

import numpy as np
import pytest
import torch

import allegory as al
from allegory.cli import main

QUICK = ("--iterations", "2", "--items", "8", "--batch", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune") / "run"
    main(["train", "toy", "--out", str(folder), "--steps", "20"])
    main(["tune", str(folder), "--steps", "3", *QUICK])
    return folder


def drawn(folder, out, capsys, *words):
    """Samples, and the name of the solver that made them."""
    capsys.readouterr()
    main(["sample", str(folder), "--count", "4", "--out", str(out), "--json", *words])
    return np.load(out), json.loads(capsys.readouterr().out)["solver"]


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    return said


@pytest.mark.thorough
def test_sample_uses_it_for_its_number_of_steps_only(run, tmp_path, capsys):
    tuned, name = drawn(run, tmp_path / "a.npy", capsys, "--steps", "3")
    assert name == "tuned"
    asked, name = drawn(run, tmp_path / "b.npy", capsys, "--steps", "3", "--solver", "tuned")
    assert name == "tuned" and np.array_equal(tuned, asked)
    other, name = drawn(run, tmp_path / "c.npy", capsys, "--steps", "3", "--solver", "dpmpp2m")
    assert name == "dpmpp2m" and not np.array_equal(tuned, other)
    assert drawn(run, tmp_path / "d.npy", capsys, "--steps", "4")[1] == "dpmpp2m"


def test_tune_prints_the_error_before_and_after(run, capsys):
    capsys.readouterr()
    main(["tune", str(run), "--steps", "2", *QUICK, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] == 2 and 0 < said["after"] <= said["median error before"]
    assert (run / "tuned" / "steps-2.json").exists()


def test_a_pilot_is_kept_like_it_and_made_on_request(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    capsys.readouterr()
    main(["tune", str(folder), "--steps", "5", "--pilot", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] == 5 and 0 < said["after"] <= said["geometric mean error before"]
    kept, name = drawn(folder, tmp_path / "a.npy", capsys, "--steps", "5")
    assert name == "tuned"
    made, _ = drawn(run, tmp_path / "b.npy", capsys, "--steps", "5", "--solver", "auto:pilot")
    assert np.array_equal(kept, made)

    model = al.open(run)
    sampler = al.Sampler("auto:pilot", 5)
    in_parts = model.sample(range(4), sampler=sampler, batch=3)
    assert torch.equal(in_parts, model.sample(range(4), sampler=sampler))


def test_other_weights_have_no_tuned_sampler(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    unvalidated = ("--training.validation_every", "0")
    main(["train", "toy", "--out", str(folder), "--steps", "21", "--resume", *unvalidated])
    assert drawn(folder, tmp_path / "a.npy", capsys, "--steps", "3")[1] == "dpmpp2m"
    said = refused(capsys, "sample", str(folder), "--steps", "3", "--solver", "tuned")
    assert "make it with `allegory tune" in said


@pytest.mark.parametrize("content", ["", "{}", '{"weights": 3', "[1]"])
def test_a_damaged_file_is_refused(run, tmp_path, capsys, content):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    file = folder / "tuned" / "steps-3.json"
    file.write_text(content)
    assert "is damaged" in refused(capsys, "sample", str(folder), "--steps", "3")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--steps", "0"), "steps=0; give a whole number, 1 to 1,000"),
        (("--guide", "cfg:2"), "no condition; leave it out"),
        (("--iterations", "0"), "iterations=0; give a whole number"),
        (("--batch", "-1"), "batch=-1; give a whole number"),
    ],
)
def test_bad_input(run, capsys, words, says):
    assert says in refused(capsys, "tune", str(run), *words)


@pytest.mark.parametrize("name", ["steps", "iterations", "batch", "items", "seed"])
def test_numbers_that_mean_nothing_are_refused_at_once(capsys, tmp_path, name):
    for value in ("-1", str(10**20)):
        said = refused(capsys, "tune", str(tmp_path), f"--{name}", value)
        assert f"{name}" in said and f"{value}; give a whole number" in said
