"""The commands on runs of discrete diffusion: pictures, text, categories, bits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from allegory.cli import main
from allegory.data import load

TRAIN = ("--training.decay", "none", "--training.batch_size", "16", "--steps", "3")
SMALL = ("--model.network.width", "16", "--model.network.depth", "1", *TRAIN)
NO_MORE = ("--model.cross_entropy", "0")
CHANNELS = ("--model.network.channels", "8")
LENGTH = 16
TEXT = "the cat sat on the mat: ä dog ran\n" * 60


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder of runs of a few steps: digits, beat, text, lines and table; and their data."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "book.txt").write_text(TEXT)
    (folder / "names.txt").write_text("".join(f"anna{'b' * (i % 3)}\n" for i in range(60)))
    table = pd.DataFrame({"colour": ["red", "green", "blue"] * 20, "sold": [True, False] * 30})
    table.to_csv(folder / "table.csv", index=False)

    sources = {
        "text": f"{folder}/book.txt?unit=characters&length={LENGTH}",
        "lines": f"{folder}/names.txt?unit=characters&items=lines",
        "table": f"{folder}/table.csv",
    }
    for name, source in sources.items():
        words = ("--data", source, "--model.noise", "masked", *NO_MORE, *SMALL)
        main(["train", "heartbeat", *words, "--out", str(folder / name)])
    main(["train", "heartbeat", *SMALL, "--out", str(folder / "beat")])
    main(["train", "digits_tokens", *CHANNELS, *TRAIN, "--out", str(folder / "digits")])
    np.save(folder / "digits.npy", load("digits").test.x[:2].numpy())
    return folder


def run(capsys, *words):
    capsys.readouterr()
    main([*map(str, words), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["text", "digits"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(runs, tmp_path, name):
    """Resumed from 3 steps to 5: the same weights as 5 steps at once, bit for bit."""
    recipe, data = ("digits_tokens", ()) if name == "digits" else ("heartbeat", _data(runs))
    size = (
        (*CHANNELS, *TRAIN) if name == "digits" else ("--model.noise", "masked", *NO_MORE, *SMALL)
    )
    whole = ("train", recipe, *data, *size[:-1], "5", "--out")
    main([*whole, str(tmp_path / "once")])

    shutil.copytree(runs / name, tmp_path / "twice")
    main(["train", recipe, "--resume", "--steps", "5", "--out", str(tmp_path / "twice")])
    for file in ("model.safetensors", "ema.safetensors"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "twice" / file).read_bytes()


def _data(runs):
    return ("--data", f"{runs}/book.txt?unit=characters&length={LENGTH}")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("digits", ".png"), ("text", ".txt"), ("lines", ".txt"), ("table", ".csv"), ("beat", ".png")],
)
def test_samples_are_files_of_the_kind_of_the_data(runs, capsys, name, suffix):
    said = run(capsys, "sample", runs / name, "--count", "4", "--steps", "3", "--spacing", "time")
    chosen = {key: said[key] for key in ("solver", "steps", "spacing")}
    assert chosen == {"solver": "ancestral", "steps": 3, "spacing": "time"}
    assert Path(said["file"]).suffix == suffix and Path(said["file"]).stat().st_size > 0


def test_samples_are_their_own_and_follow_the_label(runs, tmp_path, capsys):
    words = ("--steps", "4", "--solver", "first_hitting", "--guide", "cfg:2", "--label", "3")
    for name, seeds in (("many", "0:6"), ("one", "4:5")):
        out = ("--out", tmp_path / f"{name}.npz")
        run(capsys, "sample", runs / "digits", *words, "--seeds", seeds, *out)
    many, one = (np.load(tmp_path / f"{name}.npz") for name in ("many", "one"))
    np.testing.assert_array_equal(many["x"][4], one["x"][0])
    assert (many["labels"] == 3).all() and many["x"].max() <= 16


@pytest.mark.parametrize("name", ["digits", "text", "table", "beat"])
def test_evaluation_and_its_report(runs, capsys, name):
    few = ("--samples", "8", "--draws", "4", "--compared", "0", "--limit", "20", "--steps", "3")
    said = run(capsys, "evaluate", runs / name, *few)
    report = Path(said["report"]).read_text()
    assert "a diffusion model of" in report and said["config"]["sampler"]["steps"] == 3
    assert (said["text"] is None) == (name != "text")
    if name != "text":
        return

    items = load(_data(runs)[1]).test
    bits = said["likelihood"]["nats"]["mean"] / np.log(2) * len(items)
    text = load(_data(runs)[1]).spec.vocabulary.texts(items.x)
    bytes_of = sum(len(each.encode()) for each in text)
    assert said["text"]["bytes"] == bytes_of > len(items) * LENGTH
    assert said["text"]["per_byte"]["mean"] == pytest.approx(bits / bytes_of)
    assert said["text"]["per_character"]["mean"] == pytest.approx(bits / len(items) / LENGTH)
    assert "bits/byte" in report


def test_info(runs, capsys):
    about = run(capsys, "info", runs / "text")
    assert about["model"]["noise"] == "masked" and about["unit"] == "bits/dim"
    assert about["recipe"] == "heartbeat" and "characters" in about["vocabulary"]


def test_pictures_are_filled_in(runs, tmp_path, capsys):
    words = ("--input", runs / "digits.npy", "--mask", "lower", "--steps", "3", "--count", "2")
    out = ("--out", tmp_path / "edits.npz")
    said = run(capsys, "edit", runs / "digits", "--task", "inpaint", *words, *out)
    assert said["pictures"] == 2 and said["edits"] == 2 and said["solver"] == "ancestral"
    found, x = np.load(tmp_path / "edits.npz"), np.load(runs / "digits.npy")
    seen = ~found["missing"]
    np.testing.assert_array_equal(found["x"][..., seen], np.stack([x, x], 1)[..., seen])
    assert not np.array_equal(found["x"][:, 0], found["x"][:, 1])
    only = ("--count", "1", "--seeds", "1:2", *out, "--overwrite")
    run(capsys, "edit", runs / "digits", "--task", "inpaint", *words[:-2], *only)
    np.testing.assert_array_equal(np.load(tmp_path / "edits.npz")["x"][:, 0], found["x"][:, 1])


def test_text_is_filled_in(runs, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the cat ___ on t")
    (tmp_path / "b.txt").write_text("___________: ä d\n")
    both = ("--input", tmp_path / "a.txt", "--input", tmp_path / "b.txt")
    words = ("--task", "inpaint", "--mask", "_", "--count", "2", "--steps", "3")
    said = run(capsys, "edit", runs / "text", *words, *both)
    assert said["texts"] == 2 and said["edits"] == 2 and said["file"].endswith("edits-1.txt")

    parts = Path(said["file"]).read_text().split("===== ")[1:]
    heads, texts = zip(*(part.split(" =====\n", 1) for part in parts), strict=True)
    assert heads == ("a.txt, 0", "a.txt, 1", "b.txt, 0", "b.txt, 1")
    for text in texts[:2]:
        assert text[:8] == "the cat " and text[11:] == " on t\n" and "_" not in text
    assert all(text[11:] == ": ä d\n" and len(text) == LENGTH + 1 for text in texts[2:])
    assert texts[0] != texts[1]

    out = ("--out", f"{tmp_path}/out/")
    run(capsys, "edit", runs / "text", *words, *both, *out)
    assert f"{(tmp_path / 'out' / 'b.txt' / '000001.txt').read_text()}\n" == texts[3]


def test_lines_are_filled_in_and_end_where_they_end(runs, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("ann_\n\na__ab\n")
    words = ("--task", "inpaint", "--mask", "_", "--count", "1", "--steps", "3")
    said = run(capsys, "edit", runs / "lines", *words, "--input", tmp_path / "names.txt")
    first, text, second, other = Path(said["file"]).read_text().splitlines()
    assert (first, second) == ("===== names.txt:1, 0 =====", "===== names.txt:3, 0 =====")
    assert text.startswith("ann") and other[0] == "a"


@pytest.mark.parametrize(
    ("name", "text", "words", "reason"),
    [
        ("text", "the cat ___", ("--mask", "_"), "11 characters, and the run learned 16; give 16"),
        ("text", "the cat sat on t", ("--mask", "_"), "no '_' in it"),
        ("text", "the cat ___ qq t", ("--mask", "_"), "'q'"),
        ("text", "the cat ___ on t", (), "--mask none: give the sign"),
        ("text", "the cat ___ on t", ("--mask", "lower"), "--mask lower: give the sign"),
        ("text", "the cat ___ on t", ("--mask", "_", "--resize"), "--resize: is for pictures"),
        ("text", "the cat ___ on t", ("--mask", "_", "--noise", "3"), "--noise: is not for"),
        ("text", "the cat ___ on t", ("--mask", "_", "--out", "a.png"), "ends in .txt"),
        ("lines", "\n\n", ("--mask", "_"), "holds no line"),
        ("lines", "a_" * 9, ("--mask", "_"), "give at most 6"),
        (
            "table",
            "red,True",
            ("--mask", "_"),
            "neither pictures nor text; in Python, model.infill",
        ),
        ("beat", "01", ("--mask", "_"), "neither pictures nor text; in Python, model.infill"),
    ],
)
def test_what_cannot_be_filled_in_is_said(runs, tmp_path, fails, name, text, words, reason):
    (tmp_path / "a.txt").write_text(text)
    given = ("--input", tmp_path / "a.txt")
    assert reason in fails("edit", runs / name, "--task", "inpaint", *given, *words)


def test_other_mistakes_of_edit(runs, tmp_path, fails):
    given = ("edit", runs / "text", "--mask", "_", "--task", "inpaint", "--input")
    assert "give a text file" in fails(*given, tmp_path / "none.txt")
    (tmp_path / "a.txt").write_bytes(b"\xff_")
    assert "is no text in UTF-8" in fails(*given, tmp_path / "a.txt")
    pictures = ("edit", runs / "digits", "--input", runs / "digits.npy", "--task", "denoise")
    assert "give --task inpaint" in fails(*pictures)


@pytest.mark.parametrize("name", ["digits", "text", "table"])
def test_files_hold_the_items_exactly(runs, tmp_path, capsys, name):
    data = {"digits": "digits", "text": _data(runs)[1], "table": f"{runs}/table.csv"}[name]
    coded = tmp_path / "items.bin"
    said = run(capsys, "compress", runs / name, data, coded, "--limit", "3", "--steps", "2")
    assert said["items"] == 3 and said["evaluations per item"] == 2
    run(capsys, "decompress", runs / name, coded, tmp_path / "items.npy")
    expected = load(data).test.x[:3].numpy()
    found = np.load(tmp_path / "items.npy")
    assert found.tobytes() == expected.tobytes() and found.dtype == expected.dtype

    source = load(data)
    if name == "text":
        run(capsys, "decompress", runs / name, coded, tmp_path / "items.txt")
        texts = source.spec.vocabulary.texts(source.spec.index(source.test.x[:3]))
        assert (tmp_path / "items.txt").read_text() == "".join(texts)
    if name == "table":
        run(capsys, "decompress", runs / name, coded, tmp_path / "items.csv")
        lines = (tmp_path / "items.csv").read_text().splitlines()
        rows = source.spec.vocabulary.decode(source.spec.index(source.test.x[:3]))
        assert lines[1:] == [",".join(map(str, row)) for row in rows]


def test_text_of_another_vocabulary_is_coded_by_that_of_the_run(runs, tmp_path, capsys, fails):
    """Its characters have other numbers; those that the run does not know are refused."""
    (tmp_path / "other.txt").write_text("tac eht no tas : " * 60)
    other = f"{tmp_path}/other.txt?unit=characters&length={LENGTH}"
    run(capsys, "compress", runs / "text", other, tmp_path / "a.bin", "--limit", "2")
    run(capsys, "decompress", runs / "text", tmp_path / "a.bin", tmp_path / "a.npy")
    found, data = np.load(tmp_path / "a.npy"), load(other)
    texts = load(_data(runs)[1]).spec.vocabulary.texts
    expected = data.spec.vocabulary.texts(data.test.x[:2])
    assert texts(torch.from_numpy(found)) == expected
    (tmp_path / "other.txt").write_text("quiz " * 192)
    assert "'q'" in fails("compress", runs / "text", other, tmp_path / "b.bin")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--scaling", "ve"), "tokens have no scaling; leave it out"),
        (("--solver", "dpmpp2m"), "choose from ancestral, first_hitting"),
        (("--spacing", "karras"), "choose from cosine, time"),
        (("--guide", "clamp"), "give cfg:W for tokens"),
        (("--steps", "0"), "give a whole number, 1 to"),
    ],
)
@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_options_that_are_not_for_tokens(runs, fails, command, words, reason):
    assert reason in fails(command, runs / "text", *words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("calibrate",), "e.g. of the recipe digits"),
        (("distill",), "give `allegory sample` fewer --steps"),
    ],
)
def test_commands_that_need_gaussian_noise(runs, fails, words, reason):
    line = fails(*words, runs / "digits")
    assert "a diffusion model of tokens" in line and reason in line


def test_tuned_times_are_used_until_the_weights_change(runs, tmp_path, capsys, fails):
    folder = tmp_path / "run"
    shutil.copytree(runs / "text", folder)
    assert "make it with `allegory tune" in fails("sample", folder, "--solver", "tuned")
    found = run(capsys, "tune", folder, "--steps", "4", "--items", "20")
    assert 0 < found["tuned"] <= found["nats per item, cosine"] + 1e-9

    content = json.loads((folder / "tuned" / "steps-4.json").read_text())
    assert len(content["times"]) == 5 and content["times"][0] == 1 and content["times"][-1] == 0
    sampled = run(capsys, "sample", folder, "--steps", "4", "--count", "2")
    assert sampled["solver"] == "first_hitting" and sampled["spacing"] == "given times"
    plain = run(capsys, "sample", folder, "--steps", "4", "--count", "2", "--spacing", "time")
    assert plain["spacing"] == "time"

    (folder / "tuned" / "steps-4.json").write_text(json.dumps(content | {"times": [1, 2, 0]}))
    assert "damaged" in fails("sample", folder, "--steps", "4")
    changed = json.dumps(content | {"weights": "0"})
    (folder / "tuned" / "steps-4.json").write_text(changed)
    assert run(capsys, "sample", folder, "--steps", "4", "--count", "2")["spacing"] == "cosine"


def test_what_cannot_be_tuned(runs, fails):
    assert "give 1 to 63" in fails("tune", runs / "digits", "--steps", "64")
    assert "without a guide" in fails("tune", runs / "text", "--guide", "cfg:2")
    assert "--model.noise masked" in fails("tune", runs / "beat")


def test_what_needs_masked_tokens(runs, tmp_path, fails):
    beat = runs / "beat"
    for words in (("sample", beat, "--solver", "first_hitting"), ("compress", beat, "heartbeat")):
        out = (tmp_path / "a.bin",) if words[0] == "compress" else ()
        assert "--model.noise masked" in fails(*words, *out)


def test_texts_to_fill_in_are_read_as_data_are(runs, tmp_path, capsys):
    words = ("--task", "inpaint", "--mask", "_", "--count", "1", "--steps", "3", "--input")
    file = tmp_path / "a.txt"
    for content in ("\ufeffthe cat ___ on t", "the cat ___ on t\r\n"):
        file.write_bytes(content.encode())
        said = run(capsys, "edit", runs / "text", *words, file)
        assert Path(said["file"]).read_text().splitlines()[1].startswith("the cat ")


def test_a_line_to_fill_in_ends_where_a_line_of_the_data_does(runs, tmp_path, fails):
    (tmp_path / "a.txt").write_bytes("a_\u2028nn_\n".encode())
    words = ("--task", "inpaint", "--mask", "_", "--input", tmp_path / "a.txt")
    assert "a.txt:1: text: '\\u2028': not in the vocabulary" in fails(
        "edit", runs / "lines", *words
    )


def test_data_without_any_choice_are_coded_in_0_bits(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("a,b\n" + "x,y\n" * 40)
    words = ("--data", tmp_path / "a.csv", "--model.noise", "masked", *NO_MORE, *SMALL)
    run(capsys, "train", "heartbeat", *words, "--steps", "1", "--out", tmp_path / "run")
    said = run(capsys, "compress", tmp_path / "run", tmp_path / "a.csv", tmp_path / "a.bin")
    assert said["net bits/dim"] == 0 and said["net over bound, %"] is None
