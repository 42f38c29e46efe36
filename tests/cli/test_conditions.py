"""Every kind of condition at the command line: from a file of arrays to a trained run, samples of
what is asked for, the evaluation, a tuned sampler, and a compressed file.
"""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import allegory as al
from allegory.cli import main
from allegory.evaluation import EvaluationConfig, evaluate
from allegory.plots import grid_of
from allegory.recipes import RunFolder

COUNT = 60
PLACE = np.arange(COUNT)
X = (
    np.random.default_rng(0).integers(0, 100, (COUNT, 1, 4, 4))
    + 50 * (PLACE % 3)[:, None, None, None]
)
WORDS = np.array(["a red seven", "a blue one", "small green"])
SMALL = ("--model.network.channels", "8")
DATA = {
    "numbers": {"condition": np.stack([PLACE % 3, PLACE / 10], 1)},
    "tags": {"condition": np.stack([PLACE % 3 > 0, PLACE % 3 > 1], 1)},
    "text": {"captions": WORDS[PLACE % 3], "labels": np.array(["x", "y", "z"])[PLACE % 3]},
    "picture": {"condition": X[:, :, ::2, ::2].astype(np.uint8)},
    "combined": {
        "condition_who": PLACE % 3,
        "condition_how": (PLACE / 10)[:, None],
        "condition_small": X[:, 0, ::2, ::2].astype(np.uint8),
    },
}
STEPS = ("--steps", "2", "--seeds", "3:6", "--solver", "dpmpp2m")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of three steps for each kind, made when it is asked for."""
    folder = tmp_path_factory.mktemp("conditions")
    words = ["--steps", "3", *SMALL, "--training.batch_size", "8"]

    def run_of(kind):
        run, file = folder / kind, folder / f"{kind}.npz"
        if not run.exists():
            np.savez(file, x=X.astype(np.uint8), **DATA[kind])
            main(["train", "images", "--data", str(file), "--out", str(run), *words])
        return run

    return run_of


def drawn(run, out, *words):
    main(["sample", str(run), *STEPS, "--out", str(out), "--overwrite", *map(str, words)])
    return np.load(out)


@pytest.mark.parametrize("kind", DATA)
def test_the_figures_of_every_kind(runs, kind):
    folder = RunFolder.open(runs(kind))
    model, data = folder.model(), folder.dataset()
    config = EvaluationConfig(draws=1, samples=4, compared=0, sampler=al.Sampler(steps=1))
    found = evaluate(model, data, config)
    assert found.conditional is not None and found.label_cost is None
    assert found.scores is not None and "condition" in found.scores.columns
    assert (found.accuracy is not None) == ("labels" in DATA[kind])
    assert torch.equal(found.generated.given[:3].nan_to_num(), data.test.given[:3].nan_to_num())
    assert [row.name for row in found.rows()][3] == "bits/dim, p(x | condition)"

    axes = grid_of(found.generated, data.spec, data.test).axes
    texts = data.spec.given.texts(found.generated.given)
    wanted = [""] if "picture" in texts[0] else texts
    assert [each.get_xlabel().replace("\n", " ") for each in axes] == wanted


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["text"])
def test_every_command_works_with_a_condition(runs, kind, tmp_path, capsys):
    run = runs(kind)
    capsys.readouterr()
    scores = tmp_path / "scores.csv"
    quick = ("--samples", "8", "--compared", "0", "--draws", "1", "--steps", "2")
    main(["evaluate", str(run), *quick, "--per-item", str(scores), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["conditional"]["total"]["mean"] > 0 and found["label_cost"] is None
    assert found["config"]["sampler"]["guide"] == "cfg:2"
    assert (found["accuracy"] is not None) == ("labels" in DATA[kind])
    header = scores.read_text().splitlines()[0].split(",")
    assert "condition" in header and "nats_given_condition" in header

    main(["tune", str(run), "--steps", "2", "--iterations", "1", "--items", "4", "--batch", "2"])
    assert "conditions of the 3 test items" in capsys.readouterr().err
    main(["info", str(run), "--json"])
    assert "given" in json.loads(capsys.readouterr().out)["items"]
    main(["sample", str(run), *STEPS, "--out", str(tmp_path / "a.png")])
    assert Image.open(tmp_path / "a.png").size[0] > 100


@pytest.mark.parametrize("kind", DATA)
def test_by_default_samples_have_the_conditions_of_the_test_items(runs, kind, tmp_path):
    folder = RunFolder.open(runs(kind))
    test = folder.dataset().test
    x = folder.model().sample(range(3, 6), test.given[:3], al.Sampler(steps=2))
    arrays = drawn(folder.path, tmp_path / "a.npz")
    np.testing.assert_array_equal(arrays["x"], x.numpy())

    # The file is data of the same kind, with the same conditions.
    again = al.load(str(tmp_path / "a.npz")).as_spec(folder.spec).all_as_test().test
    torch.testing.assert_close(again.given, test.given[:3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        ("numbers", ("1,2.5",), [1, 2.5]),
        ("tags", ("label 1",), [0, 1]),
        ("text", ("a red one",), "a red one"),
        ("text", ("none",), None),
        ("combined", ("who=1", "how=2.5"), {"who": 1, "how": 2.5}),
        ("combined", ("who=none", "how=2.5"), {"how": 2.5}),
    ],
)
def test_a_condition_is_given_as_the_data_have_it(runs, kind, words, value, tmp_path):
    run = runs(kind)
    expected = al.open(run).sample(range(3, 6), value, al.Sampler(steps=2)).numpy()
    options = [part for word in words for part in ("--condition", word)]
    np.testing.assert_array_equal(drawn(run, tmp_path / "a.npy", *options), expected)


def test_a_label_is_the_class_among_several_conditions(runs, tmp_path):
    run = runs("combined")
    asked = drawn(run, tmp_path / "a.npy", "--label", "2", "--condition", "how=1")
    named = drawn(run, tmp_path / "b.npy", "--condition", "who=2", "--condition", "how=1")
    np.testing.assert_array_equal(asked, named)


@pytest.mark.parametrize(
    ("kind", "name", "content", "value"),
    [
        ("numbers", "a.csv", "0,1\n1,2\n\n2,3\n", [[0, 1], [1, 2], [2, 3]]),
        ("text", "a.txt", "a red one\nnone\nsmall\n", None),
        ("tags", "a.npy", [[1, 0], [0, 0], [1, 1]], [[1, 0], [0, 0], [1, 1]]),
        ("picture", "a.npy", X[:3, 0, ::2, ::2], X[:3, 0, ::2, ::2]),
    ],
)
def test_a_file_has_one_condition_per_sample(runs, kind, name, content, value, tmp_path):
    run, file = runs(kind), tmp_path / name
    if isinstance(content, str):
        file.write_text(content)
    else:
        np.save(file, np.asarray(content, np.float32))

    model, how = al.open(run), al.Sampler(steps=2)
    found = drawn(run, tmp_path / "out.npy", "--condition", f"@{file}")
    if value is None:
        alone = [model.sample([3], "a red one", how), model.sample([4], None, how)]
        expected = torch.cat([*alone, model.sample([5], "small", how)]).numpy()
    else:
        expected = model.sample(range(3, 6), value, how).numpy()
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1  # alone: rounding of floats


def test_pictures_are_read_from_a_file_or_a_folder(runs, tmp_path):
    run, folder = runs("picture"), tmp_path / "small"
    folder.mkdir()
    for place in range(3):
        Image.fromarray(X[place, 0, ::2, ::2].astype(np.uint8)).save(folder / f"{place}.png")
    model, how = al.open(run), al.Sampler(steps=2)
    many = drawn(run, tmp_path / "a.npy", "--condition", f"@{folder}")
    expected = model.sample(range(3, 6), X[:3, :, ::2, ::2], how).numpy()
    np.testing.assert_array_equal(many, expected)
    one = drawn(run, tmp_path / "b.npy", "--condition", f"@{folder / '1.png'}")
    np.testing.assert_array_equal(one, model.sample(range(3, 6), X[1, :, ::2, ::2], how).numpy())


@pytest.mark.parametrize("kind", ["combined"])
def test_a_resumed_run_is_the_uninterrupted_one(runs, kind, tmp_path):
    run, part = runs(kind), tmp_path / "part"
    data = ["--data", str(run.with_suffix(".npz")), "--out", str(part)]
    words = [*SMALL, "--training.batch_size", "8"]
    decay = ["--training.decay", "none"]
    whole = tmp_path / "whole"
    main(["train", "images", *data, *words, *decay, "--steps", "2"])
    main(["train", "images", "--out", str(part), "--resume", "--steps", "4"])
    main(["train", "images", *data[:2], "--out", str(whole), *words, *decay, "--steps", "4"])
    assert (part / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.thorough
def test_items_are_coded_without_their_condition(runs, tmp_path):
    pytest.importorskip("constriction")
    run, packed = runs("text"), tmp_path / "packed"
    data = run.with_suffix(".npz")
    quick = ("--steps", "2", "--limit", "3")
    main(["compress", str(run), str(data), str(packed), *quick])
    main(["decompress", str(run), str(packed), str(tmp_path / "back.npy")])
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), X[:3])


@pytest.mark.parametrize(
    ("kind", "words", "says"),
    [
        ("tags", ("--condition", "labl 1"), "unknown label 'labl 1'; did you mean 'label 1'"),
        ("numbers", ("--condition", "1"), "give 2 numbers"),
        ("numbers", ("--condition", "1,2", "--condition", "1,2"), "given 2 times; give one"),
        ("numbers", ("--condition", "@nowhere.csv"), "nowhere.csv: no such file"),
        ("numbers", ("--label", "1"), "the condition of this run is 2 numbers; give --condition"),
        ("picture", ("--condition", "old"), "give @FILE with pictures (1, 2, 2)"),
        ("combined", ("--condition", "whom=1"), "unknown condition 'whom'; did you mean 'who'"),
        ("combined", ("--condition", "who=9"), "class 9: not known"),
        ("combined", ("--condition", "1"), "give NAME=VALUE, with a name of how, small, who"),
        ("combined", ("--condition", "who=1", "--condition", "who=2"), "who is given twice"),
        ("combined", ("--condition", "who=1,how=2"), "give --condition again for how=2"),
        ("numbers", ("--condition", "age=1"), "its numbers have no names; give 2 numbers, such as"),
        ("numbers", ("--condition", "inf,1"), "give finite numbers of at most 1e+30"),
    ],
)
def test_what_is_no_condition_is_refused(runs, kind, words, says, fails):
    run = runs(kind)
    assert says in fails("sample", run, *STEPS, *words)


def test_a_file_that_is_no_text_or_an_empty_folder_is_refused(runs, tmp_path, fails):
    (tmp_path / "a.txt").write_bytes("a größe".encode("latin-1"))
    (tmp_path / "empty").mkdir()
    said = fails("sample", runs("text"), *STEPS, "--condition", f"@{tmp_path / 'a.txt'}")
    assert "not text in UTF-8; save it as such" in said
    said = fails("sample", runs("picture"), *STEPS, "--condition", f"@{tmp_path / 'empty'}")
    assert "no pictures; give a folder that holds some" in said


def test_none_hides_the_condition_of_a_guide_too(runs, tmp_path, capsys):
    run, words = runs("numbers"), ("--condition", "1,2", "--guide")
    hidden = drawn(run, tmp_path / "a.npy", *words, "negative:2:condition=none")
    free = drawn(run, tmp_path / "b.npy", *words, "cfg:2")
    assert np.abs(hidden.astype(float) - free).max() <= 1
    one = drawn(run, tmp_path / "c.npy", "--condition", "1,none")
    assert (one == drawn(run, tmp_path / "d.npy", "--condition", "1,nan")).all()
    assert "guide" in capsys.readouterr().out


def test_data_without_a_condition_are_evaluated_without_a_guide(runs, tmp_path, capsys):
    np.save(tmp_path / "plain.npy", X.astype(np.uint8))
    quick = ("--samples", "4", "--steps", "2", "--draws", "1", "--compared", "0", "--limit", "4")
    main(["evaluate", str(runs("numbers")), "--data", str(tmp_path / "plain.npy"), *quick])
    assert "the data have no condition" in capsys.readouterr().err


def test_another_number_of_conditions_than_samples_is_refused(runs, tmp_path, fails):
    np.save(tmp_path / "a.npy", np.ones((5, 2), np.float32))
    said = fails("sample", runs("numbers"), *STEPS, "--condition", f"@{tmp_path / 'a.npy'}")
    assert "5 conditions for 3 samples; give --count 5" in said


def test_runs_without_a_condition_or_without_their_data_say_so(small_run, runs, tmp_path, fails):
    assert "class 7: not known" in fails("sample", small_run[0], "--condition", "7")
    moved = tmp_path / "moved"
    shutil.copytree(runs("tags"), moved)
    content = json.loads((moved / "run.json").read_text())
    content["run"]["source"] = "/nowhere/data.npz"
    (moved / "run.json").write_text(json.dumps(content))
    said = fails("sample", moved)
    assert "conditions of the run's test items cannot be read" in said
    assert "give --condition, or --condition none" in said


def test_weights_of_another_condition_are_refused(runs, tmp_path, fails):
    data = ["--data", str(runs("numbers").with_suffix(".npz")), "--out", str(tmp_path / "new")]
    said = fails("train", "images", *data, "--steps", "1", *SMALL, "--from", runs("tags"))
    assert "its condition is labels out of label 0, label 1 and that of the data 2 numbers" in said

    other = tmp_path / "other"
    shutil.copytree(runs("numbers"), other)
    content = json.loads((other / "run.json").read_text())
    content["data"]["condition"]["high"][0] = 9.0
    (other / "run.json").write_text(json.dumps(content))
    assert "condition_hash" in fails("info", other)


def test_a_number_outside_of_the_range_is_drawn_and_said(runs, tmp_path, capsys):
    capsys.readouterr()
    drawn(runs("numbers"), tmp_path / "a.npy", "--condition", "99,1")
    assert "99 is outside of the training data, 0 to 2" in capsys.readouterr().err
