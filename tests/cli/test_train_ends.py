"""The first and last lines of `allegory train`: precision, too few steps, overfitting."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from allegory.cli import main
from allegory.cli.train_report import expected_steps, remarks
from allegory.recipes import RunFolder, recipe_named
from allegory.training import TrainingConfig, Validation

NARROW = ("--model.network.width", "8")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    out = tmp_path_factory.mktemp("from") / "first"
    main(["train", "toy", "--steps", "3", "--out", str(out), *NARROW])
    return out


def test_a_run_is_validated_and_its_best_weights_are_its_model(first, capsys):
    lines = [json.loads(line) for line in (first / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if "validation" in line]
    assert found[-1]["step"] == 3
    assert found[-1]["best"] == min(line["validation"] for line in found)
    folder = RunFolder.open(first)
    assert folder.weights.name == "best.safetensors"
    assert RunFolder.open(first, "ema").weights.name == "ema.safetensors"
    assert folder.validation() == found and len(folder.metrics()) == len(lines) - len(found)
    with pytest.raises(ValueError, match="did you mean 'ema'"):
        RunFolder.open(first, "em")


def test_device_and_precision_are_said_in_a_line(tmp_path, capsys):
    out = tmp_path / "run"
    fields = ["--device", "cpu", "--training.precision", "auto"]
    main(["train", "toy", "--steps", "1", "--out", str(out), *NARROW, *fields, "--json"])
    said = capsys.readouterr()
    assert "on cpu (precision auto: it has" in said.err
    assert json.loads(said.out)["steps"] == 1


def test_an_absent_device_is_refused_before_anything_is_written(fails, tmp_path):
    said = fails("train", "toy", "--device", "cuda:7", "--out", tmp_path / "run")
    assert "device 'cuda:7': not on this machine" in said
    assert not (tmp_path / "run").exists()


def test_training_from_another_run_starts_with_its_weights(first, tmp_path):
    out = tmp_path / "run"
    words = ["train", "toy", "--data", "rings", "--from", str(first), "--out", str(out), *NARROW]
    main([*words, "--steps", "1", "--training.learning_rate", "1e-30"])
    start, end = load_file(first / "best.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.allclose(start[name], end[name], rtol=0, atol=1e-20) for name in start)
    assert RunFolder.open(out).run.source == "rings"


def test_weights_of_another_model_are_refused(fails, first, tmp_path):
    out = tmp_path / "run"
    said = fails("train", "toy", "--from", first, "--out", out, "--model.network.width", "16")
    assert "model.network.width is 8 and here it is 16" in said
    assert "model.network" in fails("train", "digits", "--from", first, "--out", out)
    assert "no such folder" in fails("train", "toy", "--from", tmp_path / "none", "--out", out)
    assert not out.exists()


def test_a_run_is_not_replaced_by_its_own_continuation(fails, first):
    before = (first / "best.safetensors").read_bytes()
    said = fails("train", "toy", "--from", first, "--out", first, "--overwrite", *NARROW)
    assert "give another --out" in said
    assert (first / "best.safetensors").read_bytes() == before


def budget(steps, minutes):
    return TrainingConfig(steps=steps, minutes=minutes)


def test_a_recipe_with_both_budgets_says_how_many_steps_a_minute_should_bring():
    recipe = budget(1000, 2.0)
    assert expected_steps(recipe, recipe) == 1000
    assert expected_steps(budget(None, 1.0), recipe) == 500
    assert expected_steps(budget(100, 1.0), recipe) == 100
    assert expected_steps(budget(100, None), recipe) is None
    assert expected_steps(budget(None, 1.0), budget(None, 2.0)) is None


@pytest.mark.parametrize(("steps", "few"), [(1000, False), (850, False), (700, True)])
def test_a_run_with_far_fewer_steps_than_expected_says_so(steps, few):
    recipe = budget(1000, 2.0)
    run = SimpleNamespace(training=recipe, unit="bits/dim")
    said = remarks(
        run, recipe, SimpleNamespace(step=steps, began=0, validation=None), "allegory train x"
    )
    assert bool(said) is few
    assert not few or ("only 700 steps" in said[0] and "allegory train x --resume" in said[0])


def test_overfitting_is_said_with_steps_and_values():
    run = recipe_named("digits")
    found = Validation(best_step=1200, best=1.7, last=1.9, overfitted=True)
    said = remarks(run, run.training, SimpleNamespace(step=10**6, began=0, validation=found), "")
    assert len(said) == 1
    for words in ("step 1,200 (1.7000 bits/dim)", "ended at 1.9000", "best.safetensors"):
        assert words in said[0]
