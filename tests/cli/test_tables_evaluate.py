"""`allegory evaluate` of a run of a table: nats per row, columns, neighbours, the report."""

import csv
import json

import numpy as np
import pytest

import allegory as al
from allegory.cli import main
from allegory.evaluation import evaluate

QUICK = ("--samples", "30", "--draws", "4", "--steps", "3")


def test_figures_and_report_of_a_table(table_run, tmp_path, capsys):
    run, _ = table_run
    scores = tmp_path / "rows.csv"
    main(["evaluate", str(run), *QUICK, "--per-item", str(scores), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["exact"] is None and found["bound"]["error"] > 0
    assert [each["name"] for each in found["columns"]] == [
        "kind",
        "height",
        "weight",
        "born",
        "married",
    ]
    by_name = {each["name"]: each for each in found["columns"]}
    assert by_name["height"]["is_number"] and not by_name["kind"]["is_number"]
    assert by_name["height"]["missing"] and by_name["kind"]["missing"] is None
    assert 0 <= found["nearness"]["mean"] <= 1
    with open(scores) as lines:
        nats = [float(row["nats"]) for row in csv.DictReader(lines)]
    assert np.mean(nats) == pytest.approx(found["bound"]["mean"])

    model, data = al.open(run), al.load(json.loads((run / "run.json").read_text())["run"]["source"])
    again = -model.bound(data.test.x, seeds=range(len(data.test)), draws=4).total
    assert nats == pytest.approx(again.tolist())

    page = (run / "report.html").read_text()
    for title in (
        "Each column alone",
        "Pairs of columns",
        "Correlations",
        "Distances by column",
        "Nearest training rows",
        "Training",
    ):
        assert f"<h2>{title}</h2>" in page
    assert "a diffusion model of people" in page and page.count("<img") == 6


def test_the_table_of_figures_says_what_nats_are(table_run, capsys):
    main(["evaluate", str(table_run[0]), *QUICK])
    said = " ".join(capsys.readouterr().out.split())
    assert "-log p(row), upper bound" in said and "nats/row" in said
    assert "of a probability for whole numbers, dates, categories and missing values" in said
    assert "samples: 30, ancestral, 3 steps, seeds from 0" in said


def test_rows_of_numbers_have_an_exact_likelihood(given_run, capsys):
    """Given columns have no density; the ODE of the others is below its bound up to noise."""
    words = (*QUICK, "--compared", "4", "--limit", "4", "--json")
    main(["evaluate", str(given_run[0]), *words])
    found = json.loads(capsys.readouterr().out)
    assert found["exact_rows"] == 4 and found["exact"]["error"] > 0
    assert [each["name"] for each in found["columns"]] == ["a", "b"]
    main(["evaluate", str(given_run[0]), *QUICK, "--compared", "4"])
    assert "exact, by the ODE" in " ".join(capsys.readouterr().out.split())


def test_other_rows_are_all_measured_and_no_reference(given_run, tmp_path, capsys):
    run, table = given_run
    (tmp_path / "more.csv").write_text("\n".join(table.read_text().splitlines()[:31]))
    words = ("--data", f"table:{tmp_path / 'more.csv'}?given=side,dose", "--compared", "0")
    main(["evaluate", str(run), *QUICK, *words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["measured"] == 30 and found["nearness"] is None and found["exact"] is None
    assert all(each["train"] is None for each in found["columns"])


def test_options_that_rows_do_not_have(table_run, fails):
    run, _ = table_run
    assert "which have no solver; leave it out" in fails("evaluate", run, "--solver", "ddim")
    assert "which have no guide; leave it out" in fails("evaluate", run, "--guide", "cfg:2")
    assert "1 test item" not in fails("evaluate", run, "--data", "absent.csv")


def test_evaluate_in_python_names_the_other_function(table_run):
    model, data = al.open(table_run[0]), al.load(f"table:{table_run[1]}")
    with pytest.raises(ValueError, match="measure it by evaluate_table"):
        evaluate(model, data)
