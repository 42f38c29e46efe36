"""Series and videos at the command line: given first frames, pictures, and samples as data."""

import numpy as np
import pytest
import torch

from allegory import load
from allegory.cli import main

SMALL = ("--steps", "1", "--model.network.width", "8", "--model.network.depth", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    x = np.random.default_rng(0).normal(size=(60, 6, 2)).cumsum(1).astype(np.float32)
    np.save(folder / "walks.npy", x)
    source = f"{folder / 'walks.npy'}?given=2"
    main(["train", "series", "--data", source, *SMALL, "--out", str(folder / "run")])
    return folder / "run", x


def test_given_times_come_from_a_file_and_samples_are_data_again(run, tmp_path, capsys, fails):
    folder, x = run
    np.save(tmp_path / "first.npy", x[:3, :2])
    options = ("--condition", f"@{tmp_path / 'first.npy'}", "--count", "3", "--steps", "1")
    main(["sample", str(folder), *options, "--out", str(tmp_path / "next.npz")])
    arrays = np.load(tmp_path / "next.npz")
    assert arrays["x"].shape == (3, 4, 2)
    np.testing.assert_array_equal(arrays["condition"], x[:3, :2])
    main(["sample", str(folder), *options, "--guide", "cfg:2", "--out", str(tmp_path / "a.png")])
    main(["sample", str(folder), "--condition", "none", "--steps", "1"])
    main(["info", str(folder)])
    assert "given arrays (2, 2)" in capsys.readouterr().out

    np.save(tmp_path / "more.npy", x[:3, :3])
    said = fails("sample", folder, "--condition", f"@{tmp_path / 'more.npy'}", "--count", "3")
    assert "shape (3, 3, 2); give arrays (2, 2) of finite numbers" in said
    (tmp_path / "picture.png").write_bytes((tmp_path / "a.png").read_bytes())
    said = fails("sample", folder, "--condition", f"@{tmp_path / 'picture.png'}")
    assert "pictures are no arrays (2, 2); give .npy or .npz" in said


def test_first_frames_in_a_file_are_a_condition(tmp_path):
    """Samples of clips with their first frames, as `sample` writes them, are read as data."""
    x = torch.randint(17, (40, 5, 1, 4, 4)).numpy().astype(np.uint8)
    np.savez(tmp_path / "clips.npz", x=x[:, 2:], condition=x[:, :2])
    data = load(str(tmp_path / "clips.npz"))
    assert data.spec.shape == (3, 1, 4, 4) and data.spec.condition.shape == (2, 1, 4, 4)
    lines = torch.randn(40, 5, 3).numpy()
    np.savez(tmp_path / "lines.npz", x=lines[:, 2:], condition=lines[:, :2])
    assert load(str(tmp_path / "lines.npz")).spec.condition.shape == (2, 3)


def test_one_history_serves_all_samples(run, tmp_path):
    """An array of one row is the condition of each sample, as an array without that axis is."""
    folder, x = run
    words = ("--count", "3", "--steps", "1", "--out")
    for name, first in (("row", x[:1, :2]), ("item", x[0, :2])):
        np.save(tmp_path / "first.npy", first)
        given = ("--condition", f"@{tmp_path / 'first.npy'}")
        main(["sample", str(folder), *given, *words, str(tmp_path / f"{name}.npz")])
    row, item = (np.load(tmp_path / f"{name}.npz") for name in ("row", "item"))
    assert (row["condition"] == x[0, :2]).all() and row["x"].shape == (3, 4, 2)
    np.testing.assert_array_equal(row["x"], item["x"])


def test_what_follows_first_frames_is_evaluated_without_a_guide(run, capsys):
    quick = ("--samples", "4", "--steps", "2", "--draws", "1", "--compared", "0", "--limit", "4")
    main(["evaluate", str(run[0]), *quick])
    said = capsys.readouterr().out
    assert "samples: 4, dpmpp2m, 2 steps, seeds from 0" in said
    assert "upper bounds of -log p(x)" in said
    main(["evaluate", str(run[0]), *quick, "--guide", "cfg:2"])
    assert "samples: 4, dpmpp2m, 2 steps, cfg:2, seeds from 0" in capsys.readouterr().out
