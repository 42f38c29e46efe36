"""Every field of a recipe is an option; a user's own recipe is a recipe."""

import json
import subprocess
import sys
import textwrap

import pytest

from allegory.cli import main

RECIPE = """
    from dataclasses import replace
    from allegory.recipes import Run, recipe_named

    def helper():
        return 3

    def mine(data: str = "rings") -> Run:
        '''Rings by a narrow network. Should reach nothing.'''
        run = recipe_named("toy", data)
        return replace(run, recipe="mine")
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "my_recipe.py"
    file.write_text(textwrap.dedent(RECIPE))
    return file


def written(out):
    return json.loads((out / "run.json").read_text())["run"]


def test_fields_of_any_depth_are_options(tmp_path):
    out = tmp_path / "run"
    fields = "--model.network.width 16 --model.path.start 9 --training.batch_size 32"
    more = "--training.betas 0.8 0.9 --model.data_std None --training.minutes None"
    words = ["train", "toy", "--out", str(out), *fields.split(), *more.split()]
    main([*words, "--training.steps", "2"])
    run = written(out)
    assert run["model"]["network"]["width"] == 16
    assert run["model"]["path"]["start"] == 9.0
    assert run["training"]["betas"] == [0.8, 0.9]
    assert (run["training"]["steps"], run["training"]["minutes"]) == (2, None)
    assert run["model"]["network"]["depth"] == 3  # the recipe's own


def test_help_of_a_recipe_has_its_fields_defaults_and_figure(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "digits", "--help"])
    assert not stop.value.code
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in (
        "bits/dim on the 300 test images",
        "--model.network.channels INT",
        "(default: 32)",
    ):
        assert words in said


def test_help_needs_no_data(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "images", "--help"])
    assert not stop.value.code
    said = capsys.readouterr().out
    assert "--model.network.channels" in said and "{None}|FLOAT" not in said.split("model opt")[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.network.wdith", "3"], "did you mean --model.network.width"),
        (["--model.network.width", "3.5"], "--model.network.width 3.5: give a whole number"),
        (["--training.clip", "much"], "--training.clip much: give a number"),
        (["--training.betas", "0.5"], "--training.betas"),
        (["--training.precision", "fp8"], "fp32"),
        (["--model.path.scaling", "vpp"], "did you mean 'vp'"),
        (["--training.batch_size", "0"], "batch_size must be at least 1, got 0"),
        (["another"], "another"),
    ],
)
def test_a_bad_field_is_one_line(fails, tmp_path, words, says):
    out = tmp_path / "run"
    assert says in fails("train", "toy", "--out", out, "--steps", "1", *words)
    assert not out.exists()


def test_a_budget_by_two_kinds_of_options_is_refused(fails, tmp_path):
    out = tmp_path / "run"
    words = ("--minutes", "1", "--training.steps", "5")
    assert "give --steps instead" in fails("train", "toy", "--out", out, *words)
    assert not out.exists()


def test_a_resumed_run_keeps_its_model_and_may_change_its_training(fails, tmp_path):
    out = tmp_path / "run"
    main(["train", "toy", "--out", str(out), "--steps", "2", "--model.network.width", "16"])
    again = ("train", "toy", "--out", str(out), "--resume")
    assert "was begun with" in fails(*again, "--model.network.width", "8")
    main([*again, "--training.steps", "3", "--training.log_every", "1"])
    run = written(out)
    assert run["model"]["network"]["width"] == 16
    assert (run["training"]["steps"], run["training"]["log_every"]) == (3, 1)


def test_a_recipe_of_ones_own(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    main(["train", str(recipe), "--out", str(out), "--steps", "2", "--model.network.width", "8"])
    run = written(out)
    assert (run["recipe"], run["source"], run["model"]["network"]["width"]) == ("mine", "rings", 8)
    main(["train", f"{recipe}:mine", "--out", str(out), "--resume", "--steps", "3"])
    assert written(out)["training"]["steps"] == 3
    with pytest.raises(SystemExit):
        main(["train", str(recipe), "--help"])
    assert "Rings by a narrow network" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 3\n", "no function in it"),
        ("def a(): pass\ndef b(): pass\n", "functions a, b; name one"),
        ("def a():\n    return 3\n", "returned int"),
        ("\nimport nothing_of_this_name\n", "line 2: ModuleNotFoundError"),
        ("def a():\n    b = 1\n    return b / 0\n", "line 3: ZeroDivisionError"),
        ("def a(:\n    pass\n", "line 1"),
        ("\nimport sys\nsys.exit(3)\n", "line 3: SystemExit: 3"),
        ("def a(one, two):\n    pass\n", "TypeError: a() missing 2 required"),
        ("\0", "null bytes"),
    ],
)
def test_a_recipe_file_with_an_error(fails, tmp_path, text, says):
    file = tmp_path / "my_recipe.py"
    file.write_text(text)
    said = fails("train", file, "--out", tmp_path / "run", "--steps", "1")
    assert str(file) in said
    assert says in said
    assert not (tmp_path / "run").exists()


def test_a_recipe_file_in_a_folder_whose_name_contains_its_suffix(fails, tmp_path):
    folder = tmp_path / "my.pyproject"
    folder.mkdir()
    (folder / "mine.py").write_text("x = 3\n")
    assert "no function in it" in fails("train", folder / "mine.py")


def test_a_missing_file_or_function(fails, recipe, tmp_path):
    assert "no such file" in fails("train", tmp_path / "none.py")
    assert "no function 'other'" in fails("train", f"{recipe}:other")


@pytest.mark.thorough
def test_imports_register_parts_before_the_words_are_read(tmp_path):
    (tmp_path / "parts.py").write_text("print('registered')")
    command = [sys.executable, "-m", "allegory", "recipes", "--json"]
    for words in (["--import", "parts"], ["--import=parts.py"]):
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("registered")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n1 / 0\n", "line 2: ZeroDivisionError"),
        ("def f(:\n", "line 1: invalid syntax"),
        ("from allegory import nothing_here\n", "line 1: ImportError"),
        ("raise SystemExit(4)\n", "line 1: SystemExit: 4"),
        ("import no_such_module_here\n", "line 1: ModuleNotFoundError"),
    ],
)
def test_an_imported_module_with_an_error(fails, tmp_path, monkeypatch, text, says):
    name = f"bad_module_{abs(hash(says))}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(text)
    for module in (name, f"{name}.py"):
        said = fails("--import", module, "recipes")
        assert f"{name}.py" in said
        assert says in said


def test_a_name_of_the_package_cannot_be_taken_by_an_import(tmp_path):
    """In a new process, where nothing has loaded the package's own guides yet."""
    file = tmp_path / "taken.py"
    file.write_text(
        "from allegory.process.guide import GUIDES\n"
        "GUIDES.register('cfg', lambda predict: predict, 'another cfg')\n"
    )
    command = [sys.executable, "-m", "allegory", "--import", str(file), "recipes"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "line 2: ValueError: guide 'cfg' is registered already" in done.stderr


def test_imports_that_fail(fails, tmp_path):
    assert "no such module" in fails("recipes", "--import", ".relative")
    (tmp_path / "bad.py").write_text("\n1 / 0\n")
    assert "line 2: ZeroDivisionError" in fails("--import", tmp_path / "bad.py", "recipes")
    assert "no such module" in fails("recipes", "--import", "no_such_module_here")
    assert "no such file" in fails("recipes", "--import", "no_such_file.py")
    assert "name a module" in fails("recipes", "--import")
