"""People's own data from the command line: tables, new files, classes by their names."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from allegory import VDM, DataSpec, Denoiser, LinearLogSNR, Path
from allegory.cli import main, tables
from allegory.evaluation import BoundConfig
from allegory.evaluation.item_scores import item_scores
from allegory.evaluation.sample_quality import sample_accuracy
from allegory.networks import MLPConfig
from allegory.recipes import RunFolder

RNG = np.random.default_rng(0)
QUICK = ["--draws", "2", "--compared", "0", "--samples", "12", "--steps", "2", "--json"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def table(place):
    """A run on a table with columns of very different size."""
    x = np.stack([RNG.normal(50_000, 20_000, 400), RNG.normal(0.5, 0.1, 400)], 1)
    np.save(place / "table.npy", x)
    words = ["--steps", "2", "--model.network.width", "16", "--model.network.depth", "1"]
    main(["train", "arrays", "--data", f"{place}/table.npy", "--out", f"{place}/table", *words])
    return place / "table"


@pytest.fixture(scope="module")
def gaps(place):
    """A run on images of the classes 0 and 7."""
    labels = RNG.choice([0, 7], 80)
    x = RNG.integers(0, 128, (80, 1, 8, 8)) + (labels[:, None, None, None] > 3) * 127
    np.savez(place / "gaps.npz", x=x.astype(np.uint8), labels=labels)
    words = ["--steps", "1", "--training.batch_size", "8", "--model.network.channels", "8"]
    main(["train", "images", "--data", f"{place}/gaps.npz", "--out", f"{place}/gaps", *words])
    return place / "gaps"


def evaluated(run, capsys, *words):
    capsys.readouterr()
    main(["evaluate", str(run), *words, *QUICK])
    return json.loads(capsys.readouterr().out)


def test_new_numbers_fit_whatever_their_range(table, place):
    """They are evaluated in the scale of the run, and the samples of the run are data for it."""
    folder, x = RunFolder.open(table), np.load(place / "table.npy")
    np.save(place / "new.npy", x * 1.5)
    words = ["--count", "30", "--out", f"{place}/own.npy", "--steps", "2"]
    main(["sample", str(table), *words])
    for name, expected in (("new", x * 1.5), ("own", np.load(place / "own.npy"))):
        found = folder.dataset(f"{place}/{name}.npy").all_as_test()
        assert found.spec == folder.spec and len(found.test) == len(expected)
        np.testing.assert_allclose(found.test.x, expected, rtol=1e-6)
        assert folder.model().bound(found.test.x[:5]).total.isfinite().all()


@pytest.mark.thorough
def test_each_column_is_a_figure_of_the_evaluation(table, place, capsys):
    x = np.load(place / "table.npy")
    np.save(place / "wide.npy", x * 2)
    found = evaluated(table, capsys, "--data", f"{place}/wide.npy")["columns"]
    assert [each["name"] for each in found] == ["column 0", "column 1"]
    assert found[0]["test_mean"] == pytest.approx(2 * x[:, 0].mean())
    assert "Each number alone" in (table / "report.html").read_text()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.7e-6, "1.7e-06"), (0.0, "0.000"), (0.05, "0.050"), (-31775.2, "-31775.200")],
)
def test_small_figures_keep_their_digits(value, shown, capsys):
    class Found:
        def rows(self):
            return [("column 'mass', mean", value, None, "")]

    tables.evaluation(False, Found(), "5 items", {})
    assert f" {shown} " in capsys.readouterr().out


def test_a_continuous_model_has_a_density_beyond_its_training_items():
    """Data were from -3 to 3; 3.1 has a density, as 2.9 has."""
    spec = DataSpec((1,), low=-3.0, high=3.0)
    network = MLPConfig(width=16, depth=1).build(spec.shape)
    model = VDM(Denoiser(network, Path(LinearLogSNR(8, -6)), target="edm", data_std=0.5), spec)
    inside, outside = (model.bound(torch.tensor([[x]])).total.item() for x in (2.9, 3.1))
    assert np.isfinite(outside) and abs(outside - inside) < 1
    model.bound(model.sample(range(9)))


def test_labels_with_gaps_are_two_classes(gaps, place, capsys):
    spec = RunFolder.open(gaps).spec
    assert (spec.classes, spec.class_names) == (2, (0, 7))
    for words, classes in (([], [0, 7] * 3), (["--label", "7"], [7] * 6)):
        out = f"{place}/samples{len(words)}.npz"
        main(["sample", str(gaps), "--count", "6", "--steps", "2", "--out", out, *words])
        assert np.load(out)["labels"].tolist() == classes
    capsys.readouterr()
    main(["info", str(gaps), "--json"])
    assert json.loads(capsys.readouterr().out)["classes"] == [0, 7]

    again = RunFolder.open(gaps).dataset(f"{place}/samples0.npz").all_as_test()
    assert again.test.labels.tolist() == [0, 1] * 3  # samples are data


def test_labels_are_judged_and_listed_by_their_value(gaps):
    folder = RunFolder.open(gaps)
    data = folder.dataset()
    lines = item_scores(folder.model(), data.test, BoundConfig(draws=1)).csv().splitlines()
    listed = [int(line.split(",")[1]) for line in lines[1:]]
    assert listed == folder.spec.class_values(data.test.labels).tolist()
    assert sample_accuracy(data.test, data, 0).total.mean == 1.0


def test_a_class_that_is_not_there_is_refused(gaps, fails):
    assert "class 3: not known; the classes are 0, 7" in fails("sample", gaps, "--label", "3")


def pictures(folder, classes):
    for name, light in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = RNG.integers(0, 100, (8, 8)) + light
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def test_classes_of_folders_are_found_by_their_name(place, capsys, fails):
    pictures(place / "a", {"cat": 0, "dog": 150})
    pictures(place / "b", {"dog": 150, "zebra": 0})
    pictures(place / "c", {"dog": 150})
    words = ["--steps", "1", "--training.batch_size", "8", "--model.network.channels", "8"]
    main(["train", "images", "--data", f"{place}/a", "--out", f"{place}/run", *words])

    said = fails("evaluate", place / "run", "--data", place / "b", *QUICK)
    assert "class zebra: not known; the classes are cat, dog" in said
    dogs = RunFolder.open(place / "run").dataset(f"{place}/c")
    assert dogs.train.labels.tolist() == [1] * len(dogs.train)

    words = ["--label", "dog", "--count", "3", "--steps", "2", "--out", f"{place}/d.npz"]
    main(["sample", f"{place}/run", *words])
    assert np.load(place / "d.npz")["labels"].tolist() == ["dog"] * 3


def test_weights_of_other_classes_or_columns_are_refused(fails, place, gaps, table):
    """By position they would be taken for classes and columns that they are not of."""
    x = RNG.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8)
    np.savez(place / "words.npz", x=x, labels=RNG.choice(["cat", "dog"], 60))
    words = ("--steps", "1", "--out", place / "from", "--model.network.channels", "8", "--from")
    said = fails("train", "images", "--data", place / "words.npz", *words, gaps)
    assert "classes are ['0', '7'] and those of the data ['cat', 'dog']" in said

    np.savez(place / "gaps2.npz", x=x, labels=RNG.choice([0, 7], 60))
    main(["train", "images", "--data", f"{place}/gaps2.npz", *map(str, (*words, gaps))])
    assert RunFolder.open(place / "from").spec.class_names == (0, 7)


def test_a_run_folder_that_cannot_be_written_to_says_where_else(fails, table, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("allegory.cli.files.make_folder", refused)
    assert "Permission denied; give --out FILE elsewhere" in fails("sample", table, "--count", "1")
