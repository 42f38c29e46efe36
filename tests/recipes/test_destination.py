"""A run folder through refusals, deaths, other processes and data that move."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import allegory as al
from allegory.data import Dataset
from allegory.networks import MLPConfig
from allegory.recipes import Destination, RunFolder, execute, recipe_named
from allegory.recipes.lock import locked
from allegory.training import TrainingConfig, TrainingError

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
STATE = ("model", "ema", "optimizer", "random")


def run_of(source="rings", steps=4, width=8, **training):
    toy = recipe_named("toy", str(source))
    config = TrainingConfig(steps, batch_size=16, log_every=1, decay="none", warmup=1, **training)
    return replace(toy, model=replace(toy.model, network=MLPConfig(width, 1)), training=config)


def resumed(run, path):
    return execute(run, Destination(path, resume=True))


def overwritten(run, path, **options):
    return execute(run, Destination(path, overwrite=True), **options)


def content(folder):
    """The hash of every file below a folder, and its folders."""
    return {
        str(path.relative_to(folder)): path.is_dir() or sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
    }


def assert_same_run(one, two):
    """Weights, average, moments, random states, counters and metrics are equal, but for times."""
    for name in (*(f"state/{part}" for part in STATE), "model", "ema", "best"):
        assert (one / f"{name}.safetensors").read_bytes() == (
            two / f"{name}.safetensors"
        ).read_bytes(), name
    states = [json.loads((run / "state" / "state.json").read_text()) for run in (one, two)]
    for state in states:
        del state["state"]["counters"]["seconds"]
    assert states[0] == states[1]
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (one, two)
    ]
    for line in (*lines[0], *lines[1]):
        for name in ("seconds", "images_per_second"):
            line.pop(name, None)
    assert lines[0] == lines[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps that nothing interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    execute(run_of(steps=6), path)
    return path


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of four steps, to be resumed."""
    path = tmp_path_factory.mktemp("runs") / "run"
    execute(run_of(), path)
    return path


@pytest.fixture
def copy(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "run")


class Killed(Exception):
    """The process ends at once."""


def kill(now):
    raise Killed


def other_shapes(file):
    save_file(
        {name: value.reshape(-1)[:1].clone() for name, value in load_file(file).items()}, file
    )


def of_two_processes(file):
    save_file({name: value.repeat(2, 1) for name, value in load_file(file).items()}, file)


def other_position(file):
    text = json.loads(file.read_text())
    text["state"]["batches"] = {"epoch": -1}
    file.write_text(json.dumps(text))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((f"state/{part}.safetensors", lambda file: file.write_bytes(b"short")) for part in STATE),
        *((f"state/{part}.safetensors", Path.unlink) for part in STATE),
        *((f"state/{part}.safetensors", other_shapes) for part in ("model", "ema")),
        ("state/random.safetensors", of_two_processes),
        ("state/state.json", lambda file: file.write_text("{")),
        ("state/state.json", other_position),
        ("state", shutil.rmtree),
        ("run.json", lambda file: file.write_text("[")),
        ("run.json", Path.unlink),
    ],
)
def test_a_refused_resume_of_a_damaged_run_changes_no_byte(copy, name, damage):
    damage(copy / name)
    before = content(copy)
    with pytest.raises(ValueError):
        resumed(run_of(steps=6), copy)
    assert content(copy) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "moons"}, "other data than .* began with"),
        ({"source": "nowhere.npy"}, "no such file"),
        ({"width": 16}, r"was begun with model.network.width=8 and here it is 16"),
        ({"device": "cuda:7"}, "not on this machine"),
    ],
)
def test_a_refused_resume_of_another_run_changes_no_byte(copy, change, says):
    before = content(copy)
    with pytest.raises(ValueError, match=says):
        resumed(run_of(**{"steps": 6} | change), copy)
    assert content(copy) == before


def test_two_answers_are_refused(copy, begun):
    before = content(copy)
    with pytest.raises(ValueError, match="--resume goes on with the weights in"):
        execute(run_of(), Destination(copy, resume=True), initial=begun)
    with pytest.raises(ValueError, match="give one of them"):
        Destination(copy, resume=True, overwrite=True)
    assert content(copy) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "nowhere.npy"}, "no such file"),
        ({"width": 16, "initial": True}, "weights fit the same model only"),
        ({"device": "cuda:7"}, "not on this machine"),
        ({"source": "digits", "levels": True}, "target"),
    ],
)
def test_overwriting_deletes_nothing_before_all_is_built(copy, begun, change, says):
    change = dict(change)
    initial = begun if change.pop("initial", False) else None
    is_categorical = change.pop("levels", False)
    run = run_of(**change)
    if is_categorical:
        run = replace(run, source="moons", model=replace(run.model, target="categorical"))
    before = content(copy)
    with pytest.raises(ValueError, match=says):
        overwritten(run, copy, initial=initial)
    assert content(copy) == before


def test_a_start_in_python_is_refused_in_the_same_way(copy):
    data = al.load("rings")
    before = content(copy)
    model = al.VDM(
        al.Denoiser(al.MLP(data.spec, width=4), al.Path(al.LinearLogSNR(8, -5))), data.spec
    )
    for options in ({"resume": True}, {}):
        with pytest.raises(ValueError, match=r"was begun with|exists already"):
            al.train(model, data, steps=9, out=copy, **options)
    with locked(copy), pytest.raises(ValueError, match="another process"):
        al.train(model, data, steps=9, out=copy, overwrite=True)
    assert content(copy) == before


@pytest.mark.parametrize("is_in_checkpoint", [False, True])
def test_a_run_that_died_before_its_first_checkpoint_begins_again(
    tmp_path, whole, is_in_checkpoint
):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        execute(run_of(steps=6), path, callbacks=[kill])
    assert not (path / "state").exists() and (path / "metrics.jsonl").read_text()
    if is_in_checkpoint:
        (path / "state.new").mkdir()
        (path / "state.new" / "model.safetensors").write_bytes(b"half")
    (path / "best.safetensors").write_bytes(b"of the session that died")
    with pytest.raises(ValueError, match="no weights yet; finish it with `allegory train"):
        RunFolder.open(path, "ema").model()
    with pytest.raises(ValueError, match="give --resume to go on, --overwrite"):
        execute(run_of(steps=6), path)
    resumed(RunFolder.open(path).run, path)
    assert_same_run(path, whole)
    assert set(content(path)) == set(content(whole))


def test_a_fine_tuning_that_died_begins_again_with_the_same_weights(tmp_path, begun):
    one, two = tmp_path / "one", tmp_path / "two"
    base = shutil.copytree(begun, tmp_path / "base")
    run = run_of("moons", steps=6)
    execute(run, one, initial=base)
    with pytest.raises(Killed):
        execute(run, two, initial=base, callbacks=[kill])
    base.rename(tmp_path / "away")
    with pytest.raises(ValueError, match=r"begins with the weights of .* which is not there"):
        resumed(RunFolder.open(two).run, two)
    (tmp_path / "away").rename(base)
    resumed(RunFolder.open(two).run, two)
    assert_same_run(one, two)
    assert RunFolder.open(two).initial == str(base)


@pytest.mark.parametrize("names", [(), (".lock",), (".lock", "run.json.new"), ("state.new/x",)])
@pytest.mark.parametrize("overwrite", [True, False])
def test_what_a_killed_start_leaves_is_an_empty_folder(tmp_path, names, overwrite):
    path = tmp_path / "run"
    path.mkdir()
    for name in (*names, ".run.json.0a1b2c3d.new"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    with pytest.raises(ValueError, match="leave --resume out to start one"):
        resumed(run_of(), path)
    execute(run_of(steps=1), Destination(path, overwrite=overwrite))
    assert RunFolder.open(path).weights.exists()


def test_what_is_no_run_or_has_no_state_is_left_alone(copy, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("dear")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="exists and is no run; give another folder"):
            execute(run_of(), Destination(other, **options))
    shutil.rmtree(copy / "state")
    with pytest.raises(ValueError, match=r"holds weights but no state/ to go on from"):
        resumed(run_of(steps=6), copy)
    overwritten(run_of(steps=1), copy)


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_trainer_is_told_at_once_and_the_first_unharmed(tmp_path, whole, options):
    path, told = tmp_path / "run", []

    def second(now):
        if now.step == 3:
            with pytest.raises(ValueError) as error:
                execute(run_of(steps=6), Destination(path, **options))
            told.append(str(error.value))

    execute(run_of(steps=6), path, callbacks=[second])
    assert "another process trains in it" in told[0]
    assert_same_run(path, whole)


def gone(path):
    shutil.rmtree(path)


def moved(path):
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize("vanish", [gone, moved, lambda path: (path / "run.json").unlink()])
def test_a_folder_that_vanishes_ends_the_run_and_is_not_made_anew(tmp_path, vanish):
    path = tmp_path / "run"

    def callback(now):
        if now.step == 2:
            vanish(path)
            callback.left = content(tmp_path)

    with pytest.raises(TrainingError, match=r"deleted .*while the run trained") as error:
        execute(run_of(steps=600, validation_every=0), path, callbacks=[callback])
    assert "\n" not in str(error.value)
    left = {name: text for name, text in callback.left.items() if name != "run/.lock"}
    assert content(tmp_path) == left
    if vanish is moved:
        resumed(run_of(steps=3, validation_every=0), path.with_name("elsewhere"))


def test_a_budget_that_is_spent_changes_neither_run_json_nor_weights(copy):
    before = content(copy)
    for steps in (4, 2):
        _, result = resumed(run_of(steps=steps), copy)
        assert (result.began, result.step) == (4, 4)
    same = {name for name, value in content(copy).items() if before[name] == value}
    assert {"run.json", "model.safetensors", "best.safetensors", "metrics.jsonl"} <= same


def test_data_may_move_but_not_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", POINTS)
    path = tmp_path / "run"
    execute(run_of("a.npy", steps=2), path)
    assert RunFolder.open(path).run.source == str(tmp_path / "a.npy")

    (tmp_path / "sub").mkdir()
    monkeypatch.chdir("sub")
    resumed(replace(RunFolder.open(path).run, training=run_of(steps=3).training), path)
    assert len(RunFolder.open(path).dataset().train.x) == 180

    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    for act in (lambda: resumed(RunFolder.open(path).run, path), RunFolder.open(path).dataset):
        with pytest.raises(ValueError, match=r"no such file.*give --data with the new path"):
            act()
    resumed(replace(run_of("../b.npy", steps=5), model=RunFolder.open(path).run.model), path)
    assert RunFolder.open(path).run.source == str(tmp_path / "b.npy")

    before = content(path)
    for name, items, says in (("c", POINTS[:199], "199 items, not 200"), ("d", POINTS + 1e-3, "")):
        np.save(f"{name}.npy", items)
        with pytest.raises(ValueError, match=f"other data than .* began with.*{says}"):
            resumed(run_of(f"{name}.npy", steps=9), path)
    assert content(path) == before


def test_data_in_memory_are_compared_too(tmp_path):
    def model():
        torch.manual_seed(0)
        network = al.MLP(spec, width=8, depth=1)
        return al.VDM(al.Denoiser(network, al.Path(al.LinearLogSNR(8, -5))), spec)

    spec = Dataset.from_arrays(POINTS).spec
    options = {"config": run_of(steps=2).training, "out": tmp_path / "run"}
    al.train(model(), Dataset.from_arrays(POINTS), **options)
    options |= {"resume": True, "steps": 4}
    with pytest.raises(ValueError, match="other data than"):
        al.train(model(), Dataset.from_arrays(POINTS, seed=1), **options)
    assert al.train(model(), Dataset.from_arrays(POINTS), **options).step == 4
