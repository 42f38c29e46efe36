"""`allegory fit`, and the recipe `table`: what is said, written and refused."""

import json
import shutil

import pytest
from safetensors.torch import load_file

import allegory as al
from allegory.cli import main


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_fit_says_what_columns_are_and_where_the_run_is(table_run, tmp_path, capsys):
    _, table = table_run
    words = ("--kinds", "weight:number", "--steps", "2", "--out", str(tmp_path / "run"))
    main(["fit", str(table), *words])
    said = capsys.readouterr().out
    assert "kind" in said and "category, 3 values (a, b, c)" in said
    assert "constant, same" in said and "date in days" in said and "some missing" in said
    assert "validation loss" in said and "next: allegory evaluate" in said
    run = json.loads((tmp_path / "run" / "run.json").read_text())["run"]
    assert run["recipe"] == "table" and run["source"].endswith("?kinds=weight:number")
    assert run["training"]["steps"] == 2 and run["training"]["minutes"] is None
    assert run["model"]["seconds"] is None


def test_fit_prints_json(table_run, tmp_path, capsys):
    main(["fit", str(table_run[1]), "--steps", "1", "--out", str(tmp_path / "run"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [each["kind"] for each in found["columns"]][:4] == [
        "category",
        "number",
        "whole",
        "date",
    ]
    assert found["steps"] == 1 and found["unit"] == "nats/dim" and found["validation loss"] > 0


def test_a_fifth_of_the_minutes_is_for_the_mixture(table_run, tmp_path):
    words = ("--minutes", "0.01", "--steps", "1", "--seed", "5", "--out", str(tmp_path / "run"))
    main(["fit", str(table_run[1]), *words])
    run = json.loads((tmp_path / "run" / "run.json").read_text())["run"]
    assert run["model"]["seconds"] == pytest.approx(0.2 * 0.6)
    assert run["training"]["minutes"] == pytest.approx(0.8 * 0.01)
    assert run["training"]["seed"] == 5


@pytest.mark.slow
def test_a_resumed_run_is_that_of_one_go(table_run, tmp_path):
    """Bit by bit: the mixture comes from the checkpoint, the order of rows goes on."""
    begin = ["train", "table", "--data", str(table_run[1]), "--training.decay", "none"]
    main([*begin, "--steps", "12", "--out", str(tmp_path / "whole")])
    main([*begin, "--steps", "5", "--out", str(tmp_path / "parts")])
    main(["train", "table", "--resume", "--steps", "12", "--out", str(tmp_path / "parts")])
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all((whole[name] == parts[name]).all() for name in whole)


def last_step(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return max(json.loads(line)["step"] for line in lines)


@pytest.mark.slow
def test_fit_goes_on_and_replaces(table_run, tmp_path, capsys, fails):
    run, table = table_run
    shutil.copytree(run, tmp_path / "run")
    words = ("fit", str(table), "--out", str(tmp_path / "run"))
    assert "give --resume to go on, --overwrite" in fails(*words)
    before = last_step(tmp_path / "run")
    main([*words, "--resume", "--steps", "80"])
    assert last_step(tmp_path / "run") > before
    capsys.readouterr()
    main([*words, "--resume", "--steps", "21"])
    assert "nothing to do" in capsys.readouterr().err
    assert "was begun with 0; give that" in fails(*words, "--resume", "--seed", "1")
    said = fails(*words, "--resume", "--given", "kind")
    assert "other columns, kinds or given columns; give --kinds and --given as then" in said
    main([*words, "--overwrite", "--steps", "1"])
    assert al.open(tmp_path / "run").spec.table is not None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("{folder}/absent.csv",), "no such file; check the path"),
        (("{folder}",), "give a file, .csv, .jsonl, .parquet"),
        (("{table}", "--given", "knd"), "column 'knd': unknown; did you mean 'kind'?"),
        (("{table}", "--kinds", "heigth:number"), "did you mean 'height'?"),
        (("{table}", "--kinds", "kind"), "write NAME:KIND, as in zip:category"),
        (("{table}", "--kinds", "kind:text"), "choose from number, whole, category"),
        (("{table}", "--given", "kind,kind"), "names a column twice"),
        (("{empty}",), "no rows; give at least two"),
        (("{alike}",), "varies, so there is nothing to learn"),
        (("{table}", "--steps", "0"), "steps must be at least 1"),
        (("{table}", "--resume"), "holds no run to go on with"),
    ],
)
def test_bad_input_of_fit(words, says, table_run, tmp_path, fails):
    _, table = table_run
    (tmp_path / "empty.csv").write_text("a,b\n")
    (tmp_path / "alike.csv").write_text("a,b\n" + "1,x\n" * 9)
    places = {"folder": tmp_path, "table": table}
    places |= {name: tmp_path / f"{name}.csv" for name in ("empty", "alike")}
    filled = [word.format(**places) for word in words]
    assert says in fails("fit", *filled, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_recipes_refuse_rows_of_a_table(given_run, tmp_path, fails):
    out = ("--out", tmp_path / "run", "--steps", "1")
    for recipe in ("toy", "series", "digits_tokens"):
        said = fails("train", recipe, "--data", f"table:{given_run[1]}", *out)
        assert "train the recipe table instead (`allegory fit TABLE`)" in said
        assert "would take their codes as numbers" in said
    assert not (tmp_path / "run").exists()


def test_the_recipe_table_has_every_field(table_run, tmp_path):
    words = ("--model.network.width", "16", "--model.known_fraction", "0.5", "--steps", "1")
    source = f"{table_run[1]}?given=kind"
    main(["train", "table", "--data", source, *words, "--out", str(tmp_path / "run")])
    model = al.open(tmp_path / "run")
    assert model.spec.table.given == ("kind",) and model.known_fraction == 0.5


def test_other_commands_say_what_to_do_instead(table_run, tmp_path, fails):
    run, table = table_run
    cases = {
        ("compress", str(run), f"table:{table}", str(tmp_path / "x")): "as .parquet",
        ("edit", str(run), "--task", "inpaint", "--input", str(table), "--mask", "box"): "impute",
        ("tune", str(run), "--steps", "4"): "the --steps that you want",
        ("calibrate", str(run)): "allegory evaluate",
        ("distill", str(run), "--out", str(tmp_path / "y")): "fewer --steps",
    }
    for words, says in cases.items():
        assert says in fails(*words), words


def test_info_of_a_run_of_a_table(table_run, capsys):
    main(["info", str(table_run[0])])
    said = capsys.readouterr().out
    assert "table.kind" in said and "category, 3 values" in said and "nats/dim" in said
