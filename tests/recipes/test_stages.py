"""The first stage of a run: what is taken for it, what is refused, and what a user is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.two_stages import STEPS, interrupt_at, same, small, weights

import allegory as al
from allegory.cli import main
from allegory.models import VAEConfig
from allegory.models.latent import PictureAutoencoderConfig
from allegory.recipes import Destination, Run, RunFolder, execute
from allegory.recipes.differences import check_trained
from allegory.training import Progress, bar

FILE = """
from allegory.models.latent import PictureAutoencoderConfig
from allegory.networks import UNetConfig
from allegory.recipes import LatentDiffusionConfig, Run
from allegory.training import TrainingConfig

def latents(data: str = "digits") -> Run:
    model = LatentDiffusionConfig(
        PictureAutoencoderConfig(2, (8, 8)),
        UNetConfig(8, multipliers=(1,), blocks=1, attention=()),
    )
    return Run("latents", data, model, TrainingConfig(steps=12, batch_size=32, ema=0.9))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("recipe") / "own.py"
    file.write_text(FILE)
    return f"{file}:latents"


@pytest.fixture(scope="module")
def finished(recipe: str, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stages") / "run"
    main(["train", recipe, "--out", str(out)])
    return out


def with_autoencoder(path: Path | str, **changes) -> Run:
    return small(trained_autoencoder=str(path), **changes)


def pictures(folder: Path, **changes) -> str:
    """A file of other 8x8 pictures than the digits, of the same kind but for the changes."""
    x = np.random.default_rng(0).integers(0, 17, (60, 1, 8, 8)).astype(np.uint8)
    np.save(folder / "x.npy", changes.get("x", x))
    return f"{folder / 'x.npy'}?{changes.get('options', 'levels=17')}"


def test_the_command_line_goes_on_with_a_finished_run(
    recipe: str, finished: Path, tmp_path
) -> None:
    """A step is measured in memory before training, which needs the scale of the latents."""
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "autoencoder")  # its weights are in the run
    main(["train", recipe, "--out", str(out), "--resume", "--steps", "20"])
    assert RunFolder.open(out).metrics()[-1]["step"] == 20
    assert not (out / "autoencoder").exists()


def test_resume_in_the_first_stage_is_the_same_command(
    recipe: str, finished: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        execute(small(), out, callbacks=[interrupt_at(5)])
    with pytest.raises(ValueError, match="only its first stage has begun"):
        al.open(out)
    main(["train", recipe, "--out", str(out), "--resume"])
    assert same(weights(out), weights(finished))


def test_resume_in_python_goes_on_in_the_first_stage(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        execute(small(), out, callbacks=[interrupt_at(5)])
    execute(small(), Destination(out, resume=True))
    assert same(weights(out), weights(finished))


def test_a_first_stage_of_other_data_is_refused(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished / "autoencoder", out / "autoencoder")
    with pytest.raises(ValueError, match="other data than"):
        execute(replace(small(), source=pictures(tmp_path)), out)


def test_a_larger_budget_goes_on_with_a_finished_first_stage(finished: Path, tmp_path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished / "autoencoder", out / "autoencoder")
    run = small()
    execute(replace(run, training=replace(run.training, steps=2 * STEPS)), out)
    assert RunFolder.open(out / "autoencoder").metrics()[-1]["step"] == 2 * STEPS


def test_a_part_of_a_budget_is_a_step_or_more() -> None:
    run = small(first_stage=0.01)
    assert run.model.first_training(run.training).steps == 1


def test_a_network_that_does_not_fit_is_refused_before_the_first_stage(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = small(autoencoder=VAEConfig((6,), 16, 1, None, "logistic"))
    with pytest.raises(ValueError, match=r"must be \(channels, height, width\)"):
        execute(run, out)
    assert not out.exists()


def test_a_refused_run_does_not_remove_what_it_would_replace(finished: Path, tmp_path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    run = small(autoencoder=VAEConfig((6,), 16, 1, None, "logistic"))
    with pytest.raises(ValueError, match="must be"):
        execute(run, Destination(out, overwrite=True))
    assert same(weights(out), weights(finished))
    assert (out / "autoencoder" / "run.json").exists()


def test_a_replacement_that_is_interrupted_goes_on_by_itself(finished: Path, tmp_path) -> None:
    """The run that is replaced is gone with its autoencoder, not left with another one's."""
    out = tmp_path / "run"
    other = small(autoencoder=PictureAutoencoderConfig(3, (8, 8)))
    shutil.copytree(finished, out)
    with pytest.raises(KeyboardInterrupt):
        execute(other, Destination(out, overwrite=True), callbacks=[interrupt_at(5)])
    assert not (out / "run.json").exists()
    execute(other, out)
    assert al.open(out).shape == (3, 2, 2)


def test_a_trained_autoencoder_is_taken_and_recorded(
    recipe: str, finished: Path, tmp_path: Path
) -> None:
    out, first = tmp_path / "run", finished / "autoencoder"
    main(["train", recipe, "--out", str(out), "--autoencoder", str(first)])
    assert same(al.open(out).autoencoder.state_dict(), al.open(first).state_dict())
    assert not (out / "autoencoder").exists()
    content = json.loads((out / "run.json").read_text())
    assert content["run"]["model"]["trained_autoencoder"] == str(first)
    assert same(weights(out), weights(finished))


def test_it_may_be_of_other_items_of_the_same_kind(finished: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path)
    run = replace(with_autoencoder(finished / "autoencoder"), source=data)
    execute(run, tmp_path / "run")
    u = al.open(tmp_path / "run").encode(al.load(data).train.x)
    assert u.mean((0, 2, 3)).abs().max() < 0.3  # the scale is that of the new items


def test_replacing_a_run_can_keep_its_autoencoder(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    execute(with_autoencoder(out / "autoencoder"), Destination(out, overwrite=True))
    assert same(weights(out / "autoencoder"), weights(finished / "autoencoder"))
    execute(with_autoencoder(finished / "autoencoder"), Destination(out, overwrite=True))
    assert not (out / "autoencoder").exists()


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("autoencoder", {"latent_channels": 3}, "--model.autoencoder.latent_channels 2"),
        ("autoencoder", {"channels": (8, 16)}, "--model.autoencoder.channels 8 8"),
        (".", {}, "a run of LatentDiffusionConfig; give one of Picture.*such as .*autoencoder"),
        ("absent", {}, "--autoencoder .*absent: .*no such folder"),
    ],
)
def test_a_run_that_is_not_this_autoencoder_is_refused(
    finished: Path, tmp_path: Path, place: str, changes: dict, message: str
) -> None:
    autoencoder = replace(PictureAutoencoderConfig(2, (8, 8)), **changes)
    run = with_autoencoder(finished / place, autoencoder=autoencoder)
    with pytest.raises(ValueError, match=message):
        execute(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_autoencoder_of_another_kind_of_items_is_refused(finished: Path, tmp_path) -> None:
    run = with_autoencoder(finished / "autoencoder")
    other = replace(run, source=pictures(tmp_path, options="levels=33"))
    with pytest.raises(ValueError, match="have the levels 17 and those of the data 33"):
        execute(other, tmp_path / "run")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("shape", al.DataSpec((1, 8, 4), 0.0, 16.0, levels=17)),
        ("range", al.DataSpec((1, 8, 8), 0.0, 32.0, levels=17)),
        ("levels", al.DataSpec((1, 8, 8), 0.0, 16.0)),
    ],
)
def test_what_says_how_numbers_are_encoded_is_compared(
    finished: Path, kind: str, spec: al.DataSpec
) -> None:
    first = finished / "autoencoder"
    config = RunFolder.open(first).run.model
    with pytest.raises(ValueError, match=f"have the {kind}"):
        check_trained(config, spec, first, "--autoencoder")
    check_trained(config, al.DataSpec((1, 8, 8), 0.0, 16.0, levels=17), first, "--autoencoder")


def test_an_autoencoder_beside_all_weights_is_refused(finished: Path, tmp_path: Path) -> None:
    run = with_autoencoder(finished / "autoencoder")
    with pytest.raises(ValueError, match="give one of them"):
        execute(run, tmp_path / "run", initial=finished)


def test_an_autoencoder_for_a_model_without_one_is_refused(finished: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["train", "digits", "--autoencoder", str(finished / "autoencoder")])
    assert "the model of digits has none" in capsys.readouterr().err


def test_reports_say_the_stage_and_the_unit_of_its_loss(tmp_path: Path) -> None:
    seen: list[Progress] = []
    execute(small(), tmp_path / "run", callbacks=[seen.append])
    first, second = seen[0], seen[-1]
    assert (first.stage, first.unit) == ("training the autoencoder (stage 1 of 2)", "bits/dim")
    assert (second.stage, second.unit) == ("training (stage 2 of 2)", None)


def test_the_bar_shows_the_unit_of_a_stage(capsys) -> None:
    now = Progress(7, 70, 1.98768, 0.25, 30.0, 90.0, "training the autoencoder", "bits/dim")
    with bar("edm-weighted error", terminal=True) as show:
        show(now)
    shown = capsys.readouterr().err
    assert "training the autoencoder" in shown
    assert "loss 1.9877 bits/dim" in shown
    assert "edm" not in shown


def test_a_run_of_before_the_field_is_read(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    content = json.loads(file.read_text())
    del content["run"]["model"]["trained_autoencoder"], content["run"]["model"]["draws"]
    del content["run"]["model"]["autoencoder"]["components"]
    file.write_text(json.dumps(content))
    assert torch.equal(al.open(tmp_path / "run").sample([0]), al.open(finished).sample([0]))
