"""`allegory sample --out FOLDER/`: one picture per sample, which can be read again as data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.cli import main
from allegory.cli.pictures import folder_name, save_each
from allegory.data import DataSpec, Items, load
from allegory.progress import silent
from allegory.sampling.driver import last_state

QUICK = ("--steps", "1", "--seeds", "5:11")


def test_each_sample_is_a_picture_of_its_seed_and_class(small_run, tmp_path, capsys, fails):
    run, out = str(small_run[0]), tmp_path / "drawn"
    main(["sample", run, *QUICK, "--out", str(tmp_path / "a.npz")])
    capsys.readouterr()
    main(["sample", run, *QUICK, "--batch", "4", "--out", f"{out}/", "--json"])
    assert json.loads(capsys.readouterr().out)["samples"] == 6
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.png")) == [
        *(f"0/{seed:06}.png" for seed in (5, 7, 9)),
        *(f"1/{seed:06}.png" for seed in (6, 8, 10)),
    ]

    arrays, read = np.load(tmp_path / "a.npz"), load(str(out)).all_as_test().test
    order = arrays["labels"].argsort(kind="stable")
    assert read.labels.tolist() == arrays["labels"][order].tolist()
    np.testing.assert_array_equal(read.x, arrays["x"][order])

    assert "holds pictures already; give --overwrite" in fails("sample", run, "--out", out)
    main(["sample", run, *QUICK, "--out", str(out), "--overwrite"])
    (tmp_path / "file").write_text("mine")
    assert "a file, not a folder" in fails("sample", run, "--out", tmp_path / "file")


def test_items_that_are_no_pictures_are_refused(fails, tmp_path):
    run = tmp_path / "run"
    main(["train", "toy", "--steps", "1", "--out", str(run)])
    said = fails("sample", run, "--out", tmp_path / "drawn")
    assert "no pictures; give a file that ends in .npz or .npy" in said
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("levels", [2, 17, 256, None])
def test_the_range_of_the_data_is_that_of_the_picture(tmp_path, channels, levels):
    spec = DataSpec((channels, 2, 3), 0.0, 16.0, levels)
    raw = torch.full((1, channels, 2, 3), 0.0)
    raw[0, :, 1] = 16.0
    save_each(tmp_path, Items(raw), [2**63 - 1], spec, silent)
    (file,) = tmp_path.iterdir()
    assert file.name == f"{2**63 - 1}.png"
    pixels = _pixels(file)
    assert pixels[0].max() == 0 and pixels[1].min() == 255


def _pixels(file):
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image)


def test_names_of_classes_as_names_of_folders():
    assert folder_name("grey cat") == "grey cat" and folder_name("caf\xe9") == "caf\xe9"
    assert folder_name("a/b") == "a%2Fb" and folder_name("..") == "%2E." and folder_name("") == "%"


def test_samples_that_are_not_finite_are_refused(small_run, tmp_path, fails, monkeypatch):
    """Discrete data too: NaN would have been some level."""

    def broken(states):
        last = last_state(states)
        return replace(last, x=last.x / 0)

    monkeypatch.setattr("allegory.models.denoiser_model.last_state", broken)
    for command in ("sample", "evaluate"):
        more = ["--compared", "0"] if command == "evaluate" else ["--out", tmp_path / "a.npy"]
        said = fails(command, small_run[0], "--steps", "2", *more)
        assert "samples by dpmpp2m, 2 steps" in said and "take other weights" in said
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--count", "-1"], "--count -1; give a whole number, 1 to 1,000,000"),
        (["--count", 10**12], "--count 1000000000000"),
        (["--batch", "0"], "--batch 0; give a whole number, 1 to"),
        (["--steps", 10**9], "steps=1000000000; give a whole number, 1 to 100,000"),
        (["--seeds", f"{2**64}:{2**64 + 4}"], "give seeds from 0 to 2^63 - 1"),
        (["--seeds", "-3:1"], "give seeds from 0 to 2^63 - 1"),
        (["--steps", "nan"], "--steps nan: give a whole number"),
        (["--guide", "cfg:1e300"], "a number"),
        (["--guide", "cfg:nan"], "a number"),
        (["--solver", "churn:1e300"], "0 or more, at most 1,000,000 in size"),
        (["--guide", "clamp:inf"], "a finite number above 0"),
    ],
)
def test_numbers_that_mean_nothing(small_run, fails, words, says):
    joined = [f"{words[0]}={words[1]}"] if words[0] == "--seeds" else words
    assert says in fails("sample", small_run[0], *joined)
