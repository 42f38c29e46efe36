"""`allegory sample` and `allegory impute` of a run of a table: files of rows."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from allegory.cli import main

QUICK = ("--steps", "3")


def read(file):
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def test_samples_have_the_names_and_types_of_the_table(table_run, tmp_path):
    run, _ = table_run
    main(["sample", str(run), "--count", "40", *QUICK, "--out", str(tmp_path / "rows.csv")])
    rows = read(tmp_path / "rows.csv")
    assert [*rows[0]] == ["kind", "height", "weight", "born", "married", "note"]
    assert len(rows) == 40 and {row["kind"] for row in rows} == {"a", "b", "c"}
    assert {row["married"] for row in rows} <= {"true", "false", ""}
    assert all(row["weight"].isdigit() and row["note"] == "same" for row in rows)
    assert all("2023-12-31" < row["born"] < "2026-07-01" for row in rows)

    main(["sample", str(run), "--count", "40", *QUICK, "--out", str(tmp_path / "rows.parquet")])
    types = pq.read_table(tmp_path / "rows.parquet").schema
    assert [str(kind) for kind in types.types] == [
        "string",
        "double",
        "int64",
        "date32[day]",
        "bool",
        "string",
    ]
    main(["sample", str(run), "--count", "40", *QUICK, "--out", str(tmp_path / "rows.jsonl")])
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for line, row in zip(lines, rows, strict=True):  # the same rows in each file
        assert line["kind"] == row["kind"] and str(line["weight"]) == row["weight"]
        assert line["born"] == row["born"]
        assert ("" if line["height"] is None else repr(line["height"])) == row["height"]


def test_a_sample_is_its_own(table_run, tmp_path):
    run, _ = table_run
    main(["sample", str(run), "--seeds", "0:6", *QUICK, "--out", str(tmp_path / "all.csv")])
    main(["sample", str(run), "--seeds", "4:6", *QUICK, "--out", str(tmp_path / "two.csv")])
    for alone, other in zip(
        read(tmp_path / "two.csv"), read(tmp_path / "all.csv")[4:], strict=True
    ):
        height = alone.pop("height"), other.pop("height")  # a network rounds to single precision
        assert alone == other
        assert height == ("", "") or float(height[0]) == pytest.approx(float(height[1]), rel=1e-6)


def test_columns_are_fixed(table_run, tmp_path, capsys):
    run, _ = table_run
    given = "kind=b,height=1.75,born=2025-02-03,note=same"
    words = ("--count", "5", "--given", given, "--given", "weight=60", *QUICK, "--json")
    main(["sample", str(run), *words, "--out", str(tmp_path / "rows.csv")])
    assert json.loads(capsys.readouterr().out)["rows"] == 5
    for row in read(tmp_path / "rows.csv"):
        fixed = {"kind": "b", "height": "1.75", "weight": "60", "born": "2025-02-03"}
        assert row == {**row, **fixed, "note": "same"}
    main(["sample", str(run), "--count", "3", "--given", "married=,height=nan", *QUICK])
    rows = read(run / "samples" / "samples-1.csv")
    assert {(row["married"], row["height"]) for row in rows} == {("", "")}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("knd=a", "--given: column 'knd': unknown; did you mean 'kind'?"),
        ("kind", "--given kind: write NAME=VALUE"),
        ("kind=B", "'B', no value of it at fit; "),
        ("weight=heavy", "'heavy' is no whole number; at fit it was whole,"),
        ("weight=60.5", "have a fraction, such as 60.5"),
        ("born=yesterday", "'yesterday' is no date; write it as in 2026-01-31"),
        ("kind=nan", "was never missing at fit; give a value"),
        ("weight=nan", "was never missing at fit; give a value"),
        ("height=inf", "infinite"),
        ("kind=a,kind=b", "is given twice"),
        ("note=other", "no value of it at fit"),
        ("kind=a,height=1,weight=9,born=2025-02-03,married=true", "nothing is left to learn"),
    ],
)
def test_bad_values_of_columns(given, says, table_run, tmp_path, fails):
    out = ("--out", tmp_path / "rows.csv", *QUICK)
    assert says in fails("sample", table_run[0], "--given", given, *out)
    assert not (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--label", "a"), "fix columns by --given NAME=VALUE"),
        (("--condition", "a"), "fix columns by --given NAME=VALUE"),
        (("--solver", "ddim"), "which have no solver; leave it out"),
        (("--guide", "cfg:2"), "which have no guide; leave it out"),
        (("--out", "rows.png"), "ends in .csv, .jsonl or .parquet"),
        (("--out", "folder/"), "ends in .csv, .jsonl or .parquet"),
    ],
)
def test_options_of_other_models(words, says, table_run, fails):
    assert says in fails("sample", table_run[0], "--count", "1", *words)


def test_a_run_of_no_table_has_no_columns_to_fix(small_run, table_run, tmp_path, fails):
    run, _ = small_run
    assert "this run learned no table" in fails("sample", run, "--given", "a=1")
    out = ("--out", tmp_path / "filled.csv")
    said = fails("impute", run, table_run[1], *out)
    assert "no table; impute needs a run of `allegory fit TABLE`" in said


def test_given_columns_are_needed(given_run, tmp_path, fails):
    run, _ = given_run
    out = ("--out", str(tmp_path / "rows.csv"))
    said = fails("sample", run, "--count", "3", *out)
    assert "one of rows given side, dose; give its value" in said
    assert "column 'dose'" in fails("sample", run, "--count", "3", "--given", "side=l", *out)
    words = ("--count", "3", "--given", "side=l,dose=0.25", *QUICK)
    main(["sample", str(run), *words, *out])
    rows = read(tmp_path / "rows.csv")
    assert {(row["side"], row["dose"]) for row in rows} == {("l", "0.25")}
    assert len({row["a"] for row in rows}) == 3


def holes(table, file):
    """The table with other missing values, columns in another order, and one column more."""
    rows = read(table)
    for i, row in enumerate(rows):
        row["id"] = f"person {i}"
        if i % 5 == 0:
            row["kind"] = row["weight"] = ""
    names = ["id", "weight", "kind", "height", "born", "married", "note"]
    with open(file, "w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_imputed_tables_are_whole_and_keep_what_is_there(table_run, tmp_path, capsys):
    run, table = table_run
    rows = holes(table, tmp_path / "holes.csv")
    words = ("--draws", "2", "--seed", "3", *QUICK, "--out", str(tmp_path / "full.csv"))
    main(["impute", str(run), str(tmp_path / "holes.csv"), *words])
    assert "columns that were not there at fit are copied: id" in capsys.readouterr().err
    first, second = (read(tmp_path / f"full-{k}.csv") for k in (1, 2))
    assert [*first[0]] == ["id", "weight", "kind", "height", "born", "married", "note"]

    drawn = 0
    for before, one, other in zip(rows, first, second, strict=True):
        assert all(one.values()) and all(other.values())
        for name, value in before.items():
            if value:
                same = name in ("height", "weight")
                assert float(one[name]) == float(value) if same else one[name] == value
            else:
                drawn += one[name] != other[name]
        assert one["weight"].isdigit() and one["kind"] in "abc"
    assert drawn > 10

    again = (*words[:-1], str(tmp_path / "again.csv"))
    main(["impute", str(run), str(tmp_path / "holes.csv"), *again])
    assert (tmp_path / "again-1.csv").read_bytes() == (tmp_path / "full-1.csv").read_bytes()


def test_imputed_parquet_keeps_the_types(table_run, tmp_path):
    run, table = table_run
    from allegory.data.table_files import frame_of

    frame = frame_of(str(table))
    pq.write_table(frame, tmp_path / "in.parquet")
    out = ("--out", str(tmp_path / "out.parquet"), *QUICK)
    main(["impute", str(run), str(tmp_path / "in.parquet"), *out])
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.names == frame.schema.names and found.schema.types == frame.schema.types
    assert all(column.null_count == 0 for column in found.columns)


@pytest.mark.parametrize(
    ("change", "words", "says"),
    [
        (("a,", "z,"), (), "'z' in "),
        (("kind", "knd"), (), "column 'kind': the table has no such column; did you mean 'knd'?"),
        ((",same", ",other"), (), "every value was same at fit"),
        (("kind,", "kind,"), ("--draws", "0"), "--draws"),
        (("kind,", "kind,"), ("--out", "full.txt"), "ends in .csv, .jsonl or .parquet"),
        (("kind,", "kind,"), ("--out", "nofolder/full.csv"), "no such folder"),
    ],
)
def test_bad_input_of_impute(change, words, says, table_run, tmp_path, monkeypatch, fails):
    run, table = table_run
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(table.read_text().replace(*change))
    out = () if "--out" in words else ("--out", "full.csv")
    assert says in fails("impute", run, "in.csv", *out, *words)
    assert "give a file" in fails("impute", run, "in.csv")
    assert "no such file" in fails("impute", run, "absent.csv", "--out", "x.csv")
    assert not (tmp_path / "full.csv").exists()


def test_given_columns_are_not_imputed(given_run, tmp_path, fails):
    """They have no density: a missing one would be taken as the least number."""
    run, table = given_run
    rows = read(table)[:6]
    rows[0]["a"] = ""
    rows[1]["dose"] = ""
    with open(tmp_path / "in.csv", "w", newline="") as lines:
        writer = csv.DictWriter(lines, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    words = ("--out", str(tmp_path / "out.csv"), *QUICK)
    said = fails("impute", run, tmp_path / "in.csv", *words)
    assert "column 'dose': missing in 1 of 6 rows, and in none at fit" in said

    text = (tmp_path / "in.csv").read_text().splitlines()
    (tmp_path / "in.csv").write_text("\n".join([text[0], text[1], *text[3:]]))
    main(["impute", str(run), str(tmp_path / "in.csv"), *words])
    assert np.isfinite(float(read(tmp_path / "out.csv")[0]["a"]))
