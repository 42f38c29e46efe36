"""Latent diffusion in two stages of one run: folders, interruptions, the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.helpers.two_stages import interrupt_at, same, small, weights

import allegory as al
from allegory.cli import main
from allegory.models.latent import LatentDiffusion, PictureAutoencoderConfig
from allegory.recipes import (
    Destination,
    Run,
    RunFolder,
    execute,
    recipe_named,
)
from allegory.recipes.compress import CodingConfig, compress, decompress


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("latents") / "run"
    execute(small(), out)
    return out


def test_the_second_stage_has_the_autoencoder_of_the_first(finished: Path) -> None:
    model = al.open(finished)
    assert isinstance(model, LatentDiffusion)
    first = al.open(finished / "autoencoder")
    assert same(model.autoencoder.state_dict(), first.state_dict())
    u = model.encode(al.load("digits").train.x[:1000])
    assert u.mean((0, 2, 3)).abs().max() < 0.1
    assert (u.std((0, 2, 3)) - 1).abs().max() < 0.1


def test_interrupted_in_the_first_stage_the_same_command_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        execute(small(), out, callbacks=[interrupt_at(5)])
    assert not (out / "run.json").exists()
    execute(small(), out)
    assert same(weights(out), weights(finished))


def test_interrupted_in_the_second_stage_it_is_resumed(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(_first_only(), out / "autoencoder")
    with pytest.raises(KeyboardInterrupt):
        execute(small(), out, callbacks=[interrupt_at(5)])
    assert (out / "run.json").exists()
    execute(small(), Destination(out, resume=True))
    assert same(weights(out), weights(finished))


def _first_only() -> Run:
    run = small()
    return Run(run.recipe, run.source, run.model.first_model(), run.training)


def test_another_autoencoder_in_the_folder_is_refused(tmp_path: Path) -> None:
    execute(_first_only(), tmp_path / "run" / "autoencoder")
    other = small(autoencoder=PictureAutoencoderConfig(4, (8, 8)))
    with pytest.raises(ValueError, match=r"first stage autoencoder was begun with .*channels=2"):
        execute(other, tmp_path / "run")


def test_overwriting_replaces_both_stages(tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(small(), out)
    other = small(autoencoder=PictureAutoencoderConfig(3, (8, 8)))
    with pytest.raises(ValueError, match="exists already"):
        execute(other, out)
    execute(other, Destination(out, overwrite=True))
    assert al.open(out).shape == (3, 2, 2)


def test_joint_training_moves_the_autoencoder(tmp_path: Path) -> None:
    run = small(joint=True, objective="elbo")
    assert run.unit == "bits/dim"
    execute(run, tmp_path / "run")
    first = weights(tmp_path / "run" / "autoencoder")
    assert not same(al.open(tmp_path / "run").autoencoder.state_dict(), first)


def test_evaluate_prints_bits_of_pixels(finished: Path, capsys) -> None:
    main(["evaluate", str(finished), "--json", "--samples", "20", "--draws", "2"])
    figures = json.loads(capsys.readouterr().out)
    model, items = al.open(finished), al.load("digits").test.x
    bits = model.bound(items, draws=2).bits_per_dim(model.spec).mean().item()
    assert figures["likelihood"]["total"]["mean"] == pytest.approx(bits, rel=0.02)

    report = (finished / "report.html").read_text()
    assert f"latents of {len(items):,} test items vary most" in report
    assert "log p(z | u_0)" in report  # the divergences are not the area of the curve alone


def test_samples_of_the_command_line(finished: Path, capsys) -> None:
    main(["sample", str(finished), "--count", "3", "--guide", "cfg:2"])
    assert len(list((finished / "samples").glob("*.png"))) == 1


def test_distillation_refuses_latents(finished: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["distill", str(finished), "--out", str(tmp_path / "out")])
    assert "latents of the items" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mnist_latent", "fashion_latent", "images_latent"])
def test_recipes_fit_their_images(name: str) -> None:
    shape = (3, 128, 128) if name == "images_latent" else (1, 28, 28)
    spec = al.DataSpec(shape, 0.0, 255.0, levels=256)
    run = recipe_named(name, "somewhere")
    model = run.model.build(spec)
    numbers = torch.Size(model.shape).numel()
    assert 4 <= spec.dims / numbers <= 48


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_stage": 0.0}, "first_stage"),
        ({"draws": 0}, "draws"),
        ({"target": "nothing"}, "target"),
        ({"joint": True}, "objective='elbo'"),
    ],
)
def test_bad_choices_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes).model.build(al.load("digits").spec)


def test_a_file_is_coded_without_loss(finished: Path) -> None:
    raw = al.load("digits").test.x[:10]
    folder = RunFolder.open(finished)
    coded = compress(folder, raw, CodingConfig(steps=8))
    assert torch.equal(decompress(folder, coded.content, "file"), raw)
