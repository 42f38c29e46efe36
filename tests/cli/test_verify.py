"""`allegory verify` as a user meets it."""

import json
import time

import pytest
from tests.paper.mutate import mutate

from allegory.cli import main
from allegory.process.discrete import Categorical
from allegory.process.kernel import Gaussian


def test_the_whole_paper_takes_less_than_a_minute_of_processor_time(capsys):
    start = time.process_time()
    main(["verify"])
    assert time.process_time() - start < 60
    said = capsys.readouterr().out
    assert "170 of 170 equations executed, 0 failed (" in said
    assert "FAIL" not in said
    assert "; 10 further checks, 0 failed; " in said
    assert "not as printed, see the notes: 22, 45, 132-142, 145-151, 166, 168-170" in said


def test_one_equation_shows_both_sides_the_kind_and_where_the_paper_is_wrong(capsys):
    main(["verify", "--equation", "45"])
    said = capsys.readouterr().out
    for words in (
        "exact value",
        "a bound",
        "tolerance",
        "Does not hold as printed",
        "corrected form",
        "1 of 170",
    ):
        assert words in said


def test_json(capsys):
    main(["verify", "--section", "vae", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["executed"], said["failed"]) == (6, 0)
    first = said["results"][0]
    assert (first["number"], first["section"], first["passed"]) == (17, "vae", True)
    assert first["discrepancy"] <= first["tolerance"]
    assert {"statement", "kind", "left", "right", "note"} <= set(first)


def test_the_section_of_another_paper_has_labels_in_place_of_numbers(capsys, monkeypatch):
    main(["verify", "--section", "binomial"])
    said = capsys.readouterr().out
    assert "ok   2015 eq. 14  K = " in said and "170" not in said
    assert said.rstrip().splitlines()[-1].startswith("10 further checks, 0 failed; ")

    mutate(monkeypatch, Categorical.kl, "- other.log_probs", "+ other.log_probs")
    with pytest.raises(SystemExit):
        main(["verify", "--section", "binomial", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["executed"], found["failed"], found["checks"]) == (0, 0, 10)
    wrong = {row["label"] for row in found["results"] if not row["passed"]}
    assert found["further_failed"] == 4 and wrong == {"2015 eq. 13", "2015 eq. 14"}
    assert found["results"][0]["number"] is None


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_failing_equation_exits_with_one(form, capsys, monkeypatch):
    mutate(monkeypatch, Gaussian.kl, "- ratio.log()", "+ ratio.log()")
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--equation", "86", *form])
    assert stop.value.code == 1
    said = capsys.readouterr().out
    assert json.loads(said)["failed"] == 1 if form else "FAIL" in said


def test_a_check_that_raises_is_null_in_json(capsys, monkeypatch):
    mutate(monkeypatch, Gaussian.kl, "return (0.5", "return missing + (0.5")
    with pytest.raises(SystemExit):
        main(["verify", "--equation", "99", "--json"])
    result = json.loads(capsys.readouterr().out)["results"][0]
    assert (result["passed"], result["left"]) == (False, None)
    assert "NameError" in result["reason"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--section", "guidence"], "did you mean 'guidance'"),
        (["--equation", "171"], "from 1 to 170"),
        (["--equation", "0"], "from 1 to 170"),
        (["--equation", "x"], "give a whole number"),
        (["--equation", "45", "--section", "elbo"], "is in 'chain'"),
    ],
)
def test_bad_input_is_one_line_and_status_two(words, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["verify", *words])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
