"""Tables of pandas, polars, pyarrow and numpy come back as they were: dtypes, order, missing."""

import datetime as dt
import sys
from typing import Any

import numpy as np
import pytest
import torch

from allegory.data import TableSchema, table_schema

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pl_testing = pytest.importorskip("polars.testing")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("narwhals")

RNG = np.random.default_rng(0)
ROWS = 60
START = dt.datetime(2020, 1, 1)


def some(values: list[Any]) -> list[Any]:
    """Every seventh value is missing."""
    return [None if place % 7 == 3 else value for place, value in enumerate(values)]


def columns() -> dict[str, list[Any]]:
    days = [START + dt.timedelta(days=int(each)) for each in RNG.integers(0, 1000, ROWS)]
    times = [START + dt.timedelta(microseconds=int(t)) for t in RNG.integers(0, 10**15, ROWS)]
    texts = RNG.choice(["a", "b", "ä"], ROWS).tolist()
    return {
        "float": RNG.normal(size=ROWS).tolist(),
        "some float": some(RNG.normal(size=ROWS).tolist()),
        "whole": RNG.integers(-1000, 1000, ROWS).tolist(),
        "few": RNG.integers(0, 5, ROWS).tolist(),
        "text": texts,
        "some text": some(texts),
        "bool": (RNG.random(ROWS) < 0.5).tolist(),
        "day": days,
        "some time": some(times),
        "constant": [7] * ROWS,
        "empty": [None] * ROWS,
    }


def back(frame: Any) -> Any:
    """A table by way of rows, JSON and shuffled columns."""
    schema = TableSchema.from_dict(table_schema(frame).to_dict())
    rows = schema.rows(frame)
    assert np.isfinite(rows).all() and rows.shape == (ROWS, schema.dims)
    return schema.frame(torch.from_numpy(rows))


def pandas_frame() -> Any:
    d = columns()
    frame = pd.DataFrame(d)
    frame["Int64"] = pd.array(some(d["whole"]), dtype="Int64")
    frame["whole float"] = frame["Int64"].astype("float64")
    frame["float32"] = frame["float"].astype("float32")
    frame["Float32"] = frame["some float"].astype("Float32")
    frame["uint16"] = pd.Series(np.abs(d["whole"]), dtype="uint16")
    frame["int8"] = pd.Series(d["few"], dtype="int8")
    codes = pd.Categorical(some(d["text"]), categories=["z", "ä", "b", "a"], ordered=True)
    frame["category"] = codes
    frame["whole category"] = pd.Categorical(d["few"])
    frame["boolean"] = pd.array(some(d["bool"]), dtype="boolean")
    frame["bool object"] = pd.Series(some(d["bool"]), dtype=object)
    frame["text object"] = pd.Series(d["some text"], dtype=object)
    frame["nan object"] = frame["text object"].where(frame["text object"].notna(), np.nan)
    frame["string"] = frame["some text"].astype("string")
    frame["zone"] = frame["some time"].dt.tz_localize("Europe/Berlin")
    frame["nanoseconds"] = frame["some time"].astype("datetime64[ns]")
    frame["seconds"] = frame["day"].astype("datetime64[s]")
    frame["day object"] = pd.Series(some([day.date() for day in d["day"]]), dtype=object)
    frame["time object"] = pd.Series(d["some time"], dtype=object)
    for name, dtype in (("whole", "int64"), ("some time", "timestamp[us]"), ("text", "string")):
        frame[f"{name} of arrow"] = frame[name].astype(f"{dtype}[pyarrow]")
    frame["none of boolean"] = pd.array([None] * ROWS, dtype="boolean")
    frame["no time"] = pd.Series([None] * ROWS, dtype="datetime64[us, UTC]")
    frame["no day"] = pd.Series([None] * ROWS, dtype="datetime64[us]")
    frame["no float"] = np.full(ROWS, np.nan)
    return frame


def test_pandas() -> None:
    frame = pandas_frame()
    pd.testing.assert_frame_equal(back(frame), frame)


@pytest.mark.parametrize("name", pandas_frame().columns)
def test_each_column_of_pandas(name: str) -> None:
    """With one that varies, as else there is nothing to learn."""
    frame = pandas_frame()[["float", name]] if name != "float" else pandas_frame()[[name]]
    pd.testing.assert_frame_equal(back(frame), frame)


def test_polars() -> None:
    d = columns()
    frame = pl.DataFrame(d, strict=False).with_columns(
        pl.col("text").cast(pl.Categorical).alias("category"),
        pl.col("some text").cast(pl.Enum(["z", "ä", "b", "a"])).alias("enum"),
        pl.col("day").cast(pl.Date).alias("date"),
        pl.col("some time").dt.replace_time_zone("UTC").alias("utc"),
        pl.col("some time").cast(pl.Datetime("ms")).alias("milliseconds"),
        pl.col("some time").cast(pl.Datetime("ns")).alias("nanoseconds"),
        pl.col("float").cast(pl.Float32).alias("float32"),
        pl.Series("int16", some(d["whole"]), pl.Int16),
        pl.Series("boolean", some(d["bool"]), pl.Boolean),
        pl.lit(None, pl.Date).alias("no date"),
        pl.lit(None, pl.Datetime("ms", "Europe/Berlin")).alias("no time"),
        pl.lit(None, pl.String).alias("no text"),
    )
    zone = pl.col("utc").dt.convert_time_zone("Europe/Berlin").alias("zone")
    frame = frame.with_columns(zone)
    pl_testing.assert_frame_equal(back(frame), frame)


def test_nan_of_polars_is_missing() -> None:
    frame = pl.DataFrame({"x": [0.5, float("nan"), None, 2.5]})
    schema = table_schema(frame)
    assert schema.rows(frame)[:, 1].tolist() == [0, 1, 1, 0]
    assert schema.frame(schema.rows(frame))["x"].to_list() == [0.5, None, None, 2.5]


def test_pyarrow() -> None:
    table = pa.table(columns())
    more = {
        "dictionary": table["some text"].dictionary_encode(),
        "large": table["text"].cast("large_string"),
        "int16": table["whole"].cast("int16"),
        "some int": pa.array(some(table["whole"].to_pylist()), "int64"),
        "zone": table["some time"].cast(pa.timestamp("us", "Europe/Berlin")),
        "date32": table["day"].cast("date32"),
        "date64": table["day"].cast("date32").cast("date64"),
        "seconds": table["day"].cast(pa.timestamp("s")),
        "float32": table["float"].cast("float32"),
        "no date": pa.nulls(ROWS, "date32"),
        "no time": pa.nulls(ROWS, pa.timestamp("ms", "UTC")),
    }
    for name, column in more.items():
        table = table.append_column(name, column)
    made = back(table)
    assert made.schema == table.schema
    assert made.to_pydict() == table.to_pydict()


@pytest.mark.parametrize(
    "array",
    [
        RNG.normal(size=(ROWS, 3)),
        np.where(RNG.random((ROWS, 3)) < 0.2, np.nan, RNG.normal(size=(ROWS, 3))).astype("f4"),
        RNG.integers(-100, 100, (ROWS, 2), dtype=np.int16),
        RNG.integers(0, 3, (ROWS, 2)),
        RNG.random((ROWS, 2)) < 0.5,
        RNG.choice(["a", "bc"], (ROWS, 2)),
        np.datetime64("2020-01-01", "D") + RNG.integers(0, 99, (ROWS, 2)),
        np.where(RNG.random((ROWS, 1)) < 0.5, np.datetime64("NaT"), np.datetime64("2020-01-01")),
    ],
    ids=lambda array: str(array.dtype),
)
def test_numpy(array: Any) -> None:
    made = back(array)
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)


def test_records() -> None:
    kinds = [("a", "f4"), ("b", "i8"), ("text", "U3"), ("day", "M8[D]"), ("yes", "?"), ("o", "O")]
    array = np.empty(ROWS, dtype=kinds)
    array["a"], array["b"] = RNG.normal(size=ROWS), RNG.integers(0, 99, ROWS)
    array["text"], array["yes"] = RNG.choice(["x", "yz"], ROWS), RNG.random(ROWS) < 0.5
    array["day"] = np.datetime64("1969-12-01") + RNG.integers(0, 60, ROWS)
    array["o"] = some([0.5, 1.5] * (ROWS // 2))
    made = back(array)
    assert made.dtype == array.dtype and made.tolist() == array.tolist()


def test_lists_and_tensors() -> None:
    rows = [["a", 0.5, 3], ["b", None, 4], ["a", 2.5, 5]]
    schema = table_schema(rows)
    assert [column.kind for column in schema.columns] == ["category", "number", "whole"]
    assert schema.frame(schema.rows(rows)).tolist() == rows
    x = torch.randn(9, 2, dtype=torch.float64)
    assert np.array_equal(table_schema(x).rows(x), x.numpy())
    assert table_schema([[1.5, 2], [3, 4]]).numbers == ("x0", "x1")


def test_rows_of_one_container_by_the_schema_of_another() -> None:
    frame = pd.DataFrame({name: columns()[name] for name in ("float", "few", "some text", "day")})
    schema = table_schema(frame)
    expected = schema.rows(frame)
    assert np.array_equal(schema.rows(pl.from_pandas(frame)), expected)
    assert np.array_equal(schema.rows(pa.Table.from_pandas(frame)), expected)


def test_whole_numbers_are_names_of_columns() -> None:
    frame = pd.DataFrame(RNG.normal(size=(9, 3)), columns=[7, 0, "x"])
    schema = table_schema(frame)
    assert schema.names == ("7", "0", "x")
    pd.testing.assert_frame_equal(schema.frame(schema.rows(frame)), frame)


def test_the_time_of_a_zone_is_that_of_utc() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-07-01", "2020-01-01"])})
    rows = table_schema(frame.assign(t=frame["t"].dt.tz_localize("Europe/Berlin")))
    assert rows.columns[0].high == frame["t"].iloc[0].timestamp() - 2 * 3600
    assert rows.columns[0].low == frame["t"].iloc[1].timestamp() - 3600


def test_arrays_need_no_library_of_data_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    monkeypatch.delitem(sys.modules, "allegory.data.table_schema.data_frames", raising=False)
    assert table_schema(RNG.normal(size=(9, 3))).dims == 3
    with pytest.raises(ValueError, match=r"needs narwhals; pip install 'allegory\[tables\]'"):
        table_schema(pd.DataFrame({"x": [1, 2]}))
