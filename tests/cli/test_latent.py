"""Latent-variable models at the command line: train and sample, and no word of solvers."""

import json

import numpy as np
import pytest

from allegory.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A ladder of one latent after two steps, on grey pictures that become black and white."""
    folder = tmp_path_factory.mktemp("latent")
    np.save(
        folder / "grey.npy", np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    )
    words = ["mnist_hierarchy:1", "--data", str(folder / "grey.npy"), "--out", str(folder / "run")]
    main(["train", *words, "--steps", "2"])
    return folder


def test_a_vae_is_trained_in_bits_and_samples_a_picture(run, capsys):
    main(["sample", str(run / "run"), "--count", "4", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["samples"] == 4 and "solver" not in said
    assert (run / "run" / "samples" / "samples-1.png").stat().st_size > 500


def test_samples_are_black_and_white_and_belong_to_their_seeds(run):
    for name, seeds in (("many", "3:7"), ("one", "5:6")):
        main(["sample", str(run / "run"), "--seeds", seeds, "--out", str(run / f"{name}.npy")])
    many, one = np.load(run / "many.npy"), np.load(run / "one.npy")
    assert many.shape == (4, 1, 28, 28) and set(np.unique(many)) == {0, 1}
    assert np.array_equal(many[2:3], one)


@pytest.mark.parametrize("command", ["sample", "evaluate", "compress"])
@pytest.mark.parametrize(
    "option", [("--steps", "25"), ("--solver", "ddim"), ("--guide", "cfg:2"), ("--label", "3")]
)
def test_options_of_diffusion_are_refused(run, command, option, capsys):
    takes = {"sample": 4, "evaluate": 3, "compress": 1}
    if option[0] not in ("--steps", "--solver", "--guide", "--label")[: takes[command]]:
        return
    rest = [str(run / "black.npy"), str(run / "black.bits")] if command == "compress" else []
    np.save(run / "black.npy", np.zeros((2, 28, 28), dtype=np.uint8))
    with pytest.raises(SystemExit) as stop:
        main([command, str(run / "run"), *rest, *option])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert f"{option[0].strip('-')}{'=' if rest else ' '}{option[1]}" in said.replace(".0", "")
    assert "leave it out" in said


def test_a_vae_resumes_with_the_words_that_began_it(run):
    words = ["mnist_hierarchy:1", "--data", str(run / "grey.npy"), "--out", str(run / "run")]
    main(["train", *words, "--steps", "3", "--resume"])
    lines = (run / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 3
