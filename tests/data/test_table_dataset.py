"""Tables of mixed columns as data sets: scaling, codes, files, memory, other descriptions."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allegory.data import DataSpec, dataset_of_table, load, memory, table_dataset, table_schema

pd = pytest.importorskip("pandas")
pytest.importorskip("narwhals")
pytest.importorskip("pyarrow")

ROWS = 400


def table(seed: int = 0, rows: int = ROWS) -> Any:
    rng = np.random.default_rng(seed)
    height = rng.normal(170, 10, rows)
    return pd.DataFrame(
        {
            "height": np.where(rng.random(rows) < 0.25, np.nan, height),
            "age": rng.integers(18, 90, rows),
            "city": rng.choice(["Oslo", "Rome", "Bern"], rows),
            "smokes": rng.random(rows) < 0.3,
        }
    )


def test_numbers_are_scaled_and_codes_are_left_alone() -> None:
    data = table_dataset(table(), name="people")
    spec, x = data.spec, data.train.x
    assert data.name == "people" and spec.shape == (5,) and spec.levels is None
    assert spec.columns == ("height", "age", "city", "smokes", "height is missing")
    assert [len(each) for each in data.sets] == [360, 20, 20] and x.dtype == torch.float64

    present = x[x[:, 4] == 0, 0]
    age = x[:, 1] + 0.5  # the mean of what dequantization makes of a whole number
    for place, numbers in enumerate((present, age)):
        mean, std = numbers.mean().item(), numbers.std(correction=0).item()
        assert spec.low[place] == pytest.approx(mean - 2 * std)
        assert spec.high[place] == pytest.approx(mean + 2 * std)
    assert spec.low[2:] == (-1.0,) * 3 and spec.high[2:] == (1.0,) * 3
    encoded = spec.encode(x)
    assert torch.equal(encoded[:, 2:].double(), x[:, 2:])
    assert torch.equal(spec.decode(encoded)[:, 2:], x[:, 2:])
    half = (np.array(spec.high[:2]) - spec.low[:2]) / 2
    assert spec.log_scale == pytest.approx(-np.log(half).sum())  # codes have no Jacobian


def test_rows_come_back_as_the_table() -> None:
    data = table_dataset(table())
    assert data.spec.table is not None
    train = data.spec.table.frame(data.train.x)
    assert data.train.index is not None
    expected = table().iloc[data.train.index.numpy()].reset_index(drop=True)
    pd.testing.assert_frame_equal(train, expected)


def test_batches_and_the_sets_have_rows_of_the_table() -> None:
    data = table_dataset(table())
    x, labels = next(iter(data.batches(32, seed=0)))
    assert x.shape == (32, 5) and labels is None
    data.spec.check(x)
    assert len(data.all_as_test().test) == len(data.test)


def test_json_of_the_spec() -> None:
    spec = table_dataset(table(), given=["city"]).spec
    again = DataSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and again.table is not None and again.table.given == ("city",)
    earlier = DataSpec((2,), 0.0, 1.0).to_dict()
    del earlier["table"]
    assert DataSpec.from_dict(earlier) == DataSpec((2,), 0.0, 1.0)


def test_the_description_of_the_data() -> None:
    assert str(table_dataset(table(), given=["city"]).spec) == (
        "items (5,), rows of a table: 1 number, 1 whole number, 1 category, 1 boolean, given city"
    )


def test_codes_of_no_value_are_refused() -> None:
    data = table_dataset(table())
    for place, code, name in ((2, 3.0, "city"), (2, 0.5, "city"), (4, -1.0, "height is missing")):
        x = data.train.x.clone()
        x[7, place] = code
        with pytest.raises(ValueError, match=f"column '{name}': code {code:g}, which is no value"):
            data.spec.check(x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (4,), "columns": None, "low": 0.0, "high": 1.0}, "rows of 5 entries"),
        ({"columns": tuple("abcde")}, "columns=table.entries"),
        ({"low": 0.0, "high": 1.0}, "give low=-1 and high=1 for each"),
        ({"low": (0.0,) * 5, "high": (1.0,) * 5}, "give low=-1 and high=1 for each"),
        ({"high": (200.0, 90.0, 1.0, 1.0, 2.0)}, "give low=-1 and high=1 for each"),
        ({"bounded": True}, "leave levels, vocabulary and bounds"),
    ],
)
def test_a_spec_that_is_not_of_the_table(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(table_dataset(table()).spec, **changes)


def test_a_column_that_varies_in_no_training_item() -> None:
    frame = table().assign(rare=0.0, odd="a")
    held_out = np.random.RandomState(0).permutation(ROWS)[-1]
    frame.loc[held_out, ["rare", "odd"]] = (8.0, "b")
    data = table_dataset(frame)
    place = data.spec.columns.index("rare")  # type: ignore[union-attr]
    std = np.std(frame["rare"])
    assert data.spec.high[place] == pytest.approx(8 / ROWS + 2 * std)  # type: ignore[index]
    assert any("column 'odd': no training item has b" in note for note in data.notes)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_tables_in_files(suffix: str, tmp_path: Path) -> None:
    frame, path = table(), tmp_path / f"people.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "parquet":
        frame.set_index(frame["age"] * 2).to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)

    data = load(f"table:{path}?kinds=age:category&given=city,smokes")
    assert data.spec.table is not None
    assert data.spec.table.names == ("height", "age", "city", "smokes")
    assert data.spec.table.given == ("city", "smokes")
    assert data.spec.table.column("age").kind == "category"
    assert data.source == f"table:{path}?kinds=age:category&given=city,smokes"

    everything = data.all_as_test().test.x
    back = data.spec.table.frame(everything).to_pandas()
    assert np.allclose(back["height"], frame["height"], rtol=1e-9, equal_nan=True)
    assert back["city"].tolist() == frame["city"].tolist()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("people.csv?kinds=age", r"\?kinds=age: write NAME:KIND"),
        ("people.csv?kinds=age:many", "unknown kind of column 'many'"),
        ("people.csv?given=town", "column 'town': unknown"),
        ("people.csv?size=3", "unknown option 'size=3'.*[?]kinds"),
        ("nothing.csv", "no such file; check the path"),
        ("people.txt", "give a file, .csv, .jsonl, .parquet"),
    ],
)
def test_files_that_are_no_such_table(source: str, message: str, tmp_path: Path) -> None:
    table().to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.txt").write_text("age")
    with pytest.raises(ValueError, match=message):
        load(f"table:{tmp_path}/{source}")


def test_another_table_under_the_spec_of_a_run() -> None:
    run = table_dataset(table()).spec
    other = table(seed=1)[["smokes", "city", "age", "height"]]
    data = table_dataset(other[other["city"] != "Oslo"].fillna({"height": 150.0}))
    own, converted = data.spec.table, data.as_spec(run)
    assert own is not None and run.table is not None and converted.spec == run
    again = run.table.frame(converted.train.x)[["smokes", "city", "age", "height"]]
    pd.testing.assert_frame_equal(again, own.frame(data.train.x))
    with pytest.raises(ValueError, match=r"'city': 'Oslo' in .* no value of it at fit"):
        table_dataset(table()).as_spec(data.spec)


def test_tables_and_arrays_are_not_mixed() -> None:
    spec = table_dataset(table()).spec
    arrays = table_dataset(np.random.default_rng(0).normal(size=(60, 5)))
    plain = replace(arrays, spec=replace(arrays.spec, table=None))
    with pytest.raises(ValueError, match="read the table as table:FILE"):
        plain.as_spec(spec)
    with pytest.raises(ValueError, match="without table:"):
        table_dataset(table()).as_spec(plain.spec)


def test_a_table_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 16_000)
    with pytest.raises(ValueError, match=r"400 rows of 5 entries.*take at most 100 of them"):
        table_dataset(table())


@pytest.mark.thorough
def test_memory_is_that_of_the_rows() -> None:
    """Twice the rows and 64 MB are what a table of 50,000 x 10 may take at most."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50_000, 8)))
    frame["text"], frame["n"] = rng.choice(["a", "b"], 50_000), rng.integers(0, 999, 50_000)
    tracemalloc.start()
    data = dataset_of_table(frame, table_schema(frame), seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.spec.dims == 10
    assert peak < 2 * 8 * 10 * 50_000 + 64 * 2**20
