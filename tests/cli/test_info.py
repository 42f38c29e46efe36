"""`allegory recipes` and `allegory info`."""

import json

from allegory.cli import main


def test_recipes_have_a_line_each(capsys):
    main(["recipes"])
    assert "toy_energy" in capsys.readouterr().out
    main(["recipes", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert "digits" in said and all(said.values())


def test_info_says_what_a_run_is(tmp_path, capsys, fails):
    out = tmp_path / "run"
    main(["train", "toy", "--steps", "2", "--out", str(out), "--model.network.width", "16"])
    capsys.readouterr()
    main(["info", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["recipe"], said["data"], said["steps"]) == ("toy", "moons", 2)
    assert said["model"]["network"]["width"] == 16
    assert said["parameters"] > 100
    assert "torch" in said["versions"]
    main(["info", str(out)])
    assert "model.network.width" in capsys.readouterr().out
    assert "no run.json" in fails("info", tmp_path)


def test_info_says_what_data_are(tmp_path, monkeypatch, capsys, fails):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("so much depends upon " * 20)
    main(["info", "book.txt?length=8", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["items"] == "items (8,), 256 levels from 0 to 255, bytes"
    assert said["vocabulary"] == "bytes" and said["notes"][0].startswith("the last 4 bytes fill no")
    assert (said["training items"], said["test items"]) == (46, 3)

    main(["info", "digits"])
    assert "17 levels" in capsys.readouterr().out
    assert "no such folder" in fails("info", "digitz")
    assert "unknown option" in fails("info", "digits?size=9")
    (tmp_path / "digits").mkdir()
    assert "no run.json" in fails("info", "digits")


def test_info_says_what_each_column_was_taken_for(tmp_path, capsys):
    lines = [f"{i},{'ab'[i % 2]},{i / 7 if i % 3 else ''},1" for i in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["age,kind of,height,one", *lines]))
    main(["info", f"table:{tmp_path}/people.csv?given=age", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["table"] == {
        "age": "whole, 0 to 59",
        "kind of": "category, 2 values (a, b)",
        "height": "number, 0.142857 to 8.42857, some missing",
        "one": "constant, 1",
    }
    assert (
        said["items"].endswith("1 constant, given age") and "every value is 1" in said["notes"][0]
    )


def test_data_that_are_not_there_are_no_run(fails):
    assert "data source 'nothere.csv': no such file or folder" in fails("info", "nothere.csv")
