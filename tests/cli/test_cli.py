"""The command line as a user meets it: what it does, and one line for each mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from allegory.cli import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of three steps on the bundled digits."""
    pytest.importorskip("sklearn")
    out = tmp_path_factory.mktemp("runs") / "digits"
    main(["train", "digits", "--steps", "3", "--out", str(out)])
    return out


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom allegory.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules), 'heavy'"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for command in ("demo", "train", "sample", "evaluate"):
        assert command in said


@pytest.mark.parametrize("command", ["demo", "train", "sample", "evaluate"])
def test_every_command_has_help_with_its_units(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert not stop.value.code
    said = capsys.readouterr().out
    if command in ("sample", "evaluate"):
        assert "1 is unguided" in " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize("words", [["evaluate"], ["train"], ["train", "digits"]])
def test_the_help_of_an_option_is_one_paragraph(words, capsys, monkeypatch):
    """Lines of the source do not break those of the help."""
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    expected = {
        "evaluate": "ema (the same after the last step) or last (no average); by default best",
        "train": "reproducible bit for bit. With --minutes too, what is spent first ends it.",
    }
    assert expected[words[0]] in capsys.readouterr().out


def test_training_leaves_a_whole_run(trained):
    for name in ("run.json", "model.safetensors", "ema.safetensors", "metrics.jsonl"):
        assert (trained / name).is_file()
    assert json.loads((trained / "run.json").read_text())["run"]["recipe"] == "digits"


def test_resuming_is_the_uninterrupted_run(trained, tmp_path):
    part = tmp_path / "part"
    main(["train", "digits", "--steps", "3", "--out", str(part)])
    assert (part / "ema.safetensors").read_bytes() == (trained / "ema.safetensors").read_bytes()
    main(["train", "digits", "--out", str(part), "--resume", "--steps", "5"])
    steps = [json.loads(line)["step"] for line in (part / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 5


def test_samples_belong_to_their_seeds(trained, tmp_path):
    for name, seeds in (("a", "0:6"), ("b", "3:5")):
        main(
            [
                "sample",
                str(trained),
                "--seeds",
                seeds,
                "--label",
                "3",
                "--steps",
                "4",
                "--out",
                str(tmp_path / f"{name}.npz"),
            ]
        )
    a, b = (np.load(tmp_path / f"{name}.npz") for name in ("a", "b"))
    assert a["x"].shape == (6, 1, 8, 8) and a["labels"].tolist() == [3] * 6
    np.testing.assert_array_equal(a["x"][3:5], b["x"])


def test_sample_writes_a_picture_and_says_so_in_json(trained, capsys):
    main(["sample", str(trained), "--count", "20", "--steps", "2", "--guide", "cfg:2", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["samples"] == 20
    assert Path(said["file"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.thorough
def test_evaluate_writes_a_report_of_one_file(trained, capsys):
    few = ["--draws", "2", "--samples", "20", "--steps", "3", "--compared", "20"]
    main(["evaluate", str(trained), *few, "--json"])
    said = json.loads(capsys.readouterr().out)
    page = Path(said["report"]).read_text()
    assert said["likelihood"]["total"]["mean"] > 0
    assert "data:image/" in page and "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.thorough
def test_a_toy_end_to_end(tmp_path, capsys):
    out = tmp_path / "toy"
    main(["train", "toy", "--data", "moons", "--steps", "3", "--out", str(out)])
    few = ["--draws", "2", "--samples", "50", "--steps", "3", "--limit", "100", "--compared", "20"]
    main(["evaluate", str(out), *few])
    said = capsys.readouterr().out
    assert (
        "report" in said and "a code needs levels" in said
    )  # continuous data have no bits of their own
    main(["sample", str(out), "--count", "30", "--steps", "3", "--solver", "ddpm"])


def test_arrays_of_a_user(tmp_path):
    np.save(
        tmp_path / "mine.npy", np.random.default_rng(0).normal(size=(200, 3, 4)).astype("float32")
    )
    out = tmp_path / "run"
    main(
        ["train", "arrays", "--data", str(tmp_path / "mine.npy"), "--steps", "2", "--out", str(out)]
    )
    main(["evaluate", str(out), "--draws", "2", "--samples", "10", "--steps", "2"])


def test_unknown_names_suggest_the_closest(fails, trained):
    assert "did you mean 'digits'" in fails("train", "digts")
    assert "did you mean 'dpmpp2m'" in fails("sample", trained, "--solver", "dpmp2m")
    assert "did you mean 'moons'" in fails("train", "toy", "--data", "moon", "--steps", "1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--minutes", "-3"], "minutes must be above 0"),
        (["--steps", "many"], "--steps"),
        (["--stpes", "5"], "--stpes"),
        (["--resume", "--steps", "2"], "holds no run to go on with"),
    ],
)
def test_bad_training_arguments(fails, tmp_path, arguments, says):
    assert says in fails("train", "digits", "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--count", "0"], "--count 0"),
        (["--count", "1000000000"], "a whole number, 1 to 1,000,000"),
        (["--device", "meta"], "device 'meta'"),
        (["--steps", "0"], "steps=0"),
        (["--label", "12"], "class 12: not known; the classes are 0 to 9"),
        (["--seeds", "5:5"], "holds no seed"),
        (["--seeds", "a:b"], "two whole numbers"),
        (["--out", "samples.txt"], ".png"),
        (["--solver", "ddim:2"], "from 0 to 1"),
    ],
)
def test_bad_sampling_arguments(fails, trained, arguments, says):
    assert says in fails("sample", trained, *arguments)


def test_an_existing_run_is_refused_and_kept(fails, trained):
    before = (trained / "ema.safetensors").read_bytes()
    assert "--overwrite" in fails("train", "digits", "--steps", "1", "--out", trained)
    assert (trained / "ema.safetensors").read_bytes() == before


def test_a_folder_that_is_no_run_is_never_overwritten(fails, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    assert "is no run" in fails("train", "digits", "--steps", "1", "--out", tmp_path, "--overwrite")
    assert (tmp_path / "thesis.tex").read_text() == "dear"


def test_an_existing_output_is_refused(fails, trained, tmp_path):
    out = tmp_path / "a.png"
    out.write_text("mine")
    assert "exists already" in fails("sample", trained, "--out", out, "--steps", "2")
    assert out.read_text() == "mine"


def test_missing_and_damaged_runs(fails, trained, tmp_path):
    assert "no such folder" in fails("sample", tmp_path / "nowhere")
    assert "no run.json" in fails("sample", tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    whole = (broken / "ema.safetensors").read_bytes()
    (broken / "ema.safetensors").unlink()
    (broken / "best.safetensors").unlink()
    assert "no weights yet" in fails("evaluate", broken)
    (broken / "ema.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in fails("sample", broken)
    (broken / "run.json").write_text('{"run": {')
    assert "damaged" in fails("sample", broken)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: np.full((50, 2), np.nan, "float32"), "NaN"),
        (lambda: np.zeros((0, 2), "float32"), "no items"),
        (lambda: np.array([{}], dtype=object), "pickle"),
    ],
)
def test_bad_data(fails, tmp_path, make, says):
    np.save(tmp_path / "bad.npy", make(), allow_pickle=True)
    assert says in fails(
        "train", "arrays", "--data", tmp_path / "bad.npy", "--steps", "1", "--out", tmp_path / "run"
    )
    assert not (tmp_path / "run").exists()


def test_a_folder_without_images(fails, tmp_path):
    (tmp_path / "empty").mkdir()
    said = fails(
        "train", "images", "--data", tmp_path / "empty", "--steps", "1", "--out", tmp_path / "run"
    )
    assert "image" in said
    assert "--data" in fails("train", "images", "--steps", "1", "--out", tmp_path / "run")


def test_a_run_of_a_later_format_or_with_a_part_from_outside(fails, trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    content = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(content | {"format": 99}))
    assert "format 99 was written by allegory" in fails("info", copy)
    content["run"]["model"]["network"]["kind"] = "MyNetwork"
    (copy / "run.json").write_text(json.dumps(content))
    assert "--import MODULE" in fails("sample", copy)


def test_data_of_another_kind(fails, trained):
    assert "give data of that kind" in fails("evaluate", trained, "--data", "moons")


def test_a_read_only_disk(fails, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "Permission denied" in fails(
        "train", "digits", "--steps", "1", "--out", tmp_path / "run"
    )


@pytest.mark.thorough
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_leaves_a_checkpoint_that_resumes(tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "allegory",
        "train",
        "digits",
        "--steps",
        "100000",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600  # however busy the machine is
    while not (out / "metrics.jsonl").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted at step" in said and "Traceback" not in said
    step = json.loads((out / "state" / "state.json").read_text())["state"]["counters"]["step"]
    main(["train", "digits", "--out", str(out), "--resume", "--steps", str(step + 2)])
    assert json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"] == step + 2


def test_resuming_with_other_words_is_refused_and_changes_nothing(fails, trained):
    before = (trained / "run.json").read_bytes()
    again = ("train", "digits", "--out", trained, "--resume")
    assert "was begun with 0" in fails(*again, "--seed", "7")
    assert "24000 items, not 1797" in fails(*again, "--data", "moons")
    assert "was begun with digits" in fails("train", "toy", "--out", trained, "--resume")
    assert (trained / "run.json").read_bytes() == before


def test_resuming_a_damaged_checkpoint_leaves_run_json_alone(fails, trained, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    before = (broken / "run.json").read_bytes()
    (broken / "state" / "ema.safetensors").write_bytes(b"short")
    assert "truncated" in fails("train", "digits", "--out", broken, "--resume", "--steps", "99")
    assert (broken / "run.json").read_bytes() == before


def test_samples_without_a_name_never_replace_one_another(trained):
    main(["sample", str(trained), "--count", "4", "--steps", "1"])
    main(["sample", str(trained), "--count", "4", "--steps", "1"])
    assert len(list((trained / "samples").glob("samples-*.png"))) >= 2


def test_overwriting_takes_the_old_report_along(trained, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(trained, again)
    (again / "report.html").write_text("old")
    (again / "notes.txt").write_text("mine")
    main(["train", "digits", "--steps", "1", "--out", str(again), "--overwrite"])
    assert not (again / "report.html").exists() and (again / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "RUN", "--limit", "-3"], "limit=-3"),
        (["sample", "RUN", "--seeds", "0:99999999999999999999999"], "shorter range"),
        (["sample", "RUN", "--guide", "cfg:nan"], "a number"),
        (["sample", "RUN", "--guide", "cgf:2"], "did you mean 'cfg'"),
        (["evaluate", "RUN", "--guide", "clmap"], "did you mean 'clamp'"),
        (["sample", "RUN", "--device", "gpu"], "device 'gpu': not on this machine"),
        (["sample", "RUN", "--weights", "bset"], "did you mean 'best'"),
        (["sample", "RUN", "--spacing", "kaaras"], "did you mean 'karras'"),
        (["train", "digits", "--steps", "1", "--seed", "99999999999999999999"], "2^63"),
        (["trian", "digits"], "did you mean 'train'"),
    ],
)
def test_strange_numbers_and_words(fails, trained, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert says in fails(*[trained if word == "RUN" else word for word in arguments])


def test_an_energy_is_sampled_with_weighed_proposals_and_on_other_scalings(tmp_path, capsys):
    """MALA needs the energy of the run itself, through guidance and through another scaling."""
    run = str(tmp_path / "energy")
    main(["train", "toy_energy", "--steps", "2", "--out", run])
    for name, more in (("a.npy", []), ("b.npy", ["--scaling", "ve"])):
        main(
            [
                "sample",
                run,
                "--solver",
                "ddim+mala",
                "--steps",
                "2",
                "--count",
                "3",
                "--out",
                str(tmp_path / name),
                *more,
            ]
        )
        assert np.isfinite(np.load(tmp_path / name)).all()
