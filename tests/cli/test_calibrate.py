"""`allegory calibrate`: a verdict, figures as JSON, a part of the report; errors in one line."""

import json

import pytest

from allegory.cli import main

QUICK = ("--items", "30", "--draws", "3", "--steps", "2")


def said(capsys, *words):
    capsys.readouterr()
    main(["calibrate", *words])
    return capsys.readouterr().out


def test_json_and_report(small_run, tmp_path, capsys):
    run = str(small_run[0])
    found = json.loads(said(capsys, run, "--method", "dps", *QUICK, "--json"))
    assert found["items"] == 30 and found["draws"] == 3 and found["method"] == "dps"
    assert found["task"] == "inpaint, noise 0.1" and found["chain"] == "ddpm, 2 steps"
    assert found["verdict"] and found["stein"] is None
    page = (small_run[0] / "report.html").read_text()
    assert page.count("Calibration of dps: inpaint, noise 0.1") == 1

    told = said(capsys, run, "--method", "replacement", "--task", "mask:0.5", *QUICK, "--score")
    assert "replacement: " in told and "kernel Stein discrepancy, draws" in told
    assert "coverage of 90 % intervals" in told
    said(capsys, run, "--method", "dps", *QUICK)
    page = (small_run[0] / "report.html").read_text()
    assert page.count("<h2>Calibration of ") == 2 and page.count("data:image/png") == 6

    again = json.loads(said(capsys, run, "--method", "dps", *QUICK, "--json", "--batch", "7"))
    different = {"seconds", "ranks", "tarp", "regions", "intervals", "findings", "verdict"}
    assert {k: found[k] for k in found.keys() - different} == {
        k: again[k] for k in again.keys() - different
    }


@pytest.mark.slow
@pytest.mark.thorough
def test_evaluate_leaves_the_part_in_the_report(small_run, capsys):
    said(capsys, str(small_run[0]), "--method", "dps", *QUICK)
    main(["evaluate", str(small_run[0]), "--draws", "1", "--samples", "4", "--compared", "0"])
    page = (small_run[0] / "report.html").read_text()
    assert "Calibration of dps" in page and "The likelihood, term by term" in page


def test_help_lists_tasks_and_methods(capsys):
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    told = capsys.readouterr().out
    assert "lower_half" in told and "mmps" in told and "Talts" not in told


@pytest.mark.parametrize(
    "words, said",
    [
        (("--task", "nonsense"), "--task nonsense: unknown operator"),
        (("--task", "downsample:3"), "--task downsample:3: "),
        (("--method", "nonsense"), "method 'nonsense'"),
        (("--noise", "0"), "--noise 0.0; give a standard deviation above 0"),
        (("--noise", "nan"), "--noise nan"),
        (("--items", "29"), "--items 29; give a whole number, 30 to"),
        (("--draws", "2"), "--draws 2; give"),
        (("--steps", "0"), "--steps 0; give"),
        (("--level", "1"), "level=1.0; give a probability"),
        (("--solver", "nonsense"), "unknown solver 'nonsense'"),
        (("--solver", "ddim", "--method", "dps"), "--method dps has steps of its own"),
    ],
)
def test_errors_are_one_line(small_run, fails, words, said):
    assert said in fails("calibrate", small_run[0], *words)
