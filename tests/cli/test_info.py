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


def test_data_that_are_not_there_are_no_run(fails):
    assert "data source 'nothere.csv': no such file or folder" in fails("info", "nothere.csv")
