"""`allegory train --resume`: what it says, and where the data have moved."""

import json
import shutil

import numpy as np
import pytest

import allegory as al
from allegory.cli import main

SMALL = ("--model.network.width", "8", "--model.network.depth", "1")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    np.save(folder / "a.npy", np.random.default_rng(0).normal(2, 3, (400, 2)))
    data = ("--data", str(folder / "a.npy"))
    main(["train", "toy", *data, *SMALL, "--steps", "3", "--out", str(folder / "run")])
    return folder


@pytest.fixture
def folder(first, tmp_path):
    return shutil.copytree(first, tmp_path / "copy")


def written(folder):
    return json.loads((folder / "run" / "run.json").read_text())["run"]


def test_data_are_found_from_any_folder_and_by_any_spelling(folder, first, monkeypatch):
    again = ("train", "toy", "--resume", "--out", str(folder / "run"))
    monkeypatch.chdir("/")
    main([*again, "--steps", "4"])
    assert written(folder)["source"] == str(first / "a.npy")
    monkeypatch.chdir(folder)
    main([*again, "--steps", "5", "--data", "../copy/./a.npy"])
    assert written(folder)["source"] == str(folder / "a.npy")
    assert written(folder)["training"]["steps"] == 5


def test_data_that_are_gone_or_others_are_refused(fails, folder, monkeypatch):
    monkeypatch.chdir(folder)
    main(["train", "toy", "--resume", "--out", "run", "--steps", "4", "--data", "a.npy"])
    before = (folder / "run" / "run.json").read_bytes()
    (folder / "a.npy").rename("b.npy")
    again = ("train", "toy", "--resume", "--out", "run", "--steps", "5")
    assert "if the data have moved, give --data with the new path" in fails(*again)
    assert "give --data with the new path" in fails("evaluate", "run")
    np.save("a.npy", np.load("b.npy") + 1)
    assert "other data than run began with (other content)" in fails(*again)
    np.save("a.npy", np.load("b.npy")[1:])
    assert "(399 items, not 400)" in fails(*again, "--data", "a.npy")
    assert (folder / "run" / "run.json").read_bytes() == before
    main([*again, "--data", "b.npy"])


def test_a_budget_that_is_spent_is_said(folder, capsys):
    main(["train", "toy", "--resume", "--steps", "2", "--out", str(folder / "run")])
    assert "nothing to do: the run has had its budget, with 3 steps" in capsys.readouterr().err
    assert written(folder)["training"]["steps"] == 3


def test_two_answers_and_nothing_to_resume(fails, folder):
    run = folder / "run"
    said = fails("train", "toy", "--resume", "--from", run, "--out", run)
    assert "--resume goes on with the weights in" in said
    assert "give one of them" in fails("train", "toy", "--resume", "--overwrite", "--out", run)
    said = fails("train", "toy", "--resume", "--out", folder / "none")
    assert "leave --resume out to start one" in said
    assert not (folder / "none").exists()


def test_a_run_of_python_is_not_resumed_by_a_recipe(fails, tmp_path):
    data = al.load("rings")
    network = al.MLP(data.spec, width=8, depth=1)
    model = al.VDM(al.Denoiser(network, al.Path(al.LinearLogSNR(8, -5))), data.spec)
    al.train(model, data, steps=1, out=tmp_path / "run")
    said = fails("train", "toy", "--resume", "--out", tmp_path / "run")
    assert "was begun in Python; go on there" in said


def test_the_time_between_checkpoints_is_an_option(folder):
    words = ["train", "toy", "--resume", "--steps", "4", "--out", str(folder / "run")]
    main([*words, "--checkpoint_minutes", "2"])
    assert written(folder)["training"]["checkpoint_minutes"] == 2
