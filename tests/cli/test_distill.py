"""`allegory distill`, and the other commands with a run of few steps."""

import json

import numpy as np
import pytest
from tests.helpers.runs import small_teacher

import allegory as al
from allegory.cli import main
from allegory.models import VAEConfig

SMALL = ("--teacher_steps", "4", "--steps", "2", "--train_steps", "4")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill") / "run"
    small_teacher(folder)
    return folder


@pytest.fixture(scope="module")
def student(teacher):
    main(["distill", str(teacher), *SMALL])
    return teacher.parent / "run-2-steps"


def drawn(folder, out, capsys, *words):
    capsys.readouterr()
    main(["sample", str(folder), "--count", "4", "--out", str(out), "--json", *words])
    told = capsys.readouterr()
    return np.load(out), json.loads(told.out), told.err


def test_the_figures_as_json(teacher, tmp_path, capsys):
    capsys.readouterr()
    out = str(tmp_path / "s")
    main(["distill", str(teacher), "--out", out, *SMALL, "--seed", "7", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["run"], said["sampler"], said["steps"]) == (out, "flow_map, 2 steps", 4)
    assert al.open(out).sampler == al.Sampler("flow_map", 2)
    run = json.loads((tmp_path / "s" / "run.json").read_text())["run"]
    assert (run["recipe"], run["training"]["seed"]) == ("distill", 7)

    main(["distill", str(teacher), "--out", out, *SMALL[:4], "--resume", "--json"])
    assert json.loads(capsys.readouterr().out)["loss"] == said["loss"]


def test_sample_takes_the_steps_of_the_run_or_others(student, tmp_path, capsys):
    x, told, _ = drawn(student, tmp_path / "a.npy", capsys)
    assert (told["solver"], told["steps"]) == ("flow_map", 2)
    assert np.array_equal(x, al.open(student).sample(range(4)).numpy())
    _, told, said = drawn(student, tmp_path / "b.npy", capsys, "--steps", "1")
    assert told["steps"] == 1 and "trained for 2 steps" in said
    for spacing, is_told in (("karras", True), ("angle:3", False)):
        out = tmp_path / f"{spacing}.npy"
        _, _, said = drawn(student, out, capsys, "--spacing", spacing)
        assert ("trained for the spacing angle:3" in said) == is_told


def test_a_flow_map_takes_other_steps_and_solvers(teacher, tmp_path, capsys):
    out = tmp_path / "s"
    main(["distill", str(teacher), "--out", str(out), "--method", "flowmap", "--train_steps", "2"])
    _, told, said = drawn(out, tmp_path / "a.npy", capsys, "--steps", "3")
    assert (told["solver"], told["steps"], said) == ("flow_map", 3, "")
    _, told, _ = drawn(out, tmp_path / "b.npy", capsys, "--solver", "flow_map:1")
    assert (told["solver"], told["steps"]) == ("flow_map:1", 4)
    _, told, _ = drawn(out, tmp_path / "c.npy", capsys, "--solver", "dpmpp2m", "--steps", "9")
    assert (told["solver"], told["steps"]) == ("dpmpp2m", 9)


@pytest.mark.thorough
def test_evaluate_judges_samples_and_has_no_likelihood(student, capsys):
    capsys.readouterr()
    main(["evaluate", str(student), "--samples", "20", "--limit", "50", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["likelihood"] is None and found["bounds"] == []
    assert found["sliced_wasserstein"]["samples"] > 0
    page = (student / "report.html").read_text()
    assert "a model of few steps of" in page and "flow_map, 2 steps" in page


def test_info_says_what_it_is(student, capsys):
    capsys.readouterr()
    main(["info", str(student), "--json"])
    model = json.loads(capsys.readouterr().out)["model"]
    assert model["kind"] == "FewStepConfig" and model["distillation"]["teacher_steps"] == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sample", "--solver", "dpmpp2m"), "leave the solver out, or give flow_map"),
        (("sample", "--guide", "clamp"), "jumps of a flow map take no guide"),
        (("sample", "--scaling", "ve"), "its own path; leave it out"),
        (("evaluate", "--solver", "ddim"), "leave the solver out"),
        (("evaluate", "--per_item", "a.csv"), "this model has no bound; leave it out"),
        (("tune",), "give the run from which it was distilled"),
        (("calibrate", "--task", "identity"), "give the run from which it was distilled"),
        (("distill", "--steps", "2"), "halving leads to 1;"),
        (("distill", "--method", "flowmap"), "or --method progressive"),
    ],
)
def test_what_a_student_cannot_do(fails, student, words, says):
    command, *rest = words
    assert says in fails(command, student, *rest)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--steps", "64"), "halving leads to 8, 4, 2, 1; give one of them"),
        (("--steps", "5"), "teacher_steps = 5 times a power of 2"),
        (("--method", "distilled"), "method"),
        (("--guide", "cfg:2"), "this run has no condition; leave it out"),
        (("--train_steps", "1"), "for 2 phases; give 2 or more"),
        (("--minutes", "-1"), "minutes must be above 0"),
        (("--resume", "--overwrite"), "give one of them"),
        (("--resume",), "holds no run to go on with"),
    ],
)
def test_bad_input(fails, teacher, tmp_path, words, says):
    assert says in fails("distill", teacher, "--out", tmp_path / "none", *words)
    assert not (tmp_path / "none").exists()


def test_a_run_without_a_denoiser(fails, tmp_path):
    data = al.load("rings")
    model = VAEConfig((2,), 8, 1, decoder="gaussian").build(data.spec)
    al.train(model, data, steps=1, out=tmp_path / "vae")
    assert "a VAE has no denoiser; give a run of" in fails("distill", tmp_path / "vae")


def test_a_guided_student_of_images(fails, small_run, tmp_path):
    run, data = small_run
    out = tmp_path / "s"
    words = ("--guide", "cfg:2", "--train_steps", "2", "--steps", "1", "--teacher_steps", "2")
    main(["distill", str(run), "--out", str(out), *words])
    main(["sample", str(out), "--count", "4", "--label", "1", "--out", str(tmp_path / "a.npy")])
    assert np.load(tmp_path / "a.npy").shape == (4, 1, 4, 4)
    assert "has no coding chain" in fails("compress", out, data, tmp_path / "b")
