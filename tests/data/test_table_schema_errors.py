"""Every refusal of a table names the column, the value and the remedy."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from allegory.data import TableSchema, table_schema
from allegory.data.table_schema import Column

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pytest.importorskip("narwhals")

NAN = float("nan")
SIX = range(6)


def frame(**changes: Any) -> Any:
    columns = {
        "carat": [0.2 + i / 7 for i in range(60)],
        "depth": [NAN if i % 7 == 0 else i / 11 for i in range(60)],
        "rooms": [*range(60)],
        "cut": ["Fair", "Good", "Ideal"] * 20,
        "stars": [1, 2, 5] * 20,
        "sold": pd.date_range("2020-01-01", periods=60),
        "one": ["a"] * 60,
        "none": [None] * 60,
        "day": [pd.Timestamp("2020-05-01"), None] * 30,
    }
    return pd.DataFrame(columns | changes)


def first(**changes: Any) -> Any:
    """The first six rows of the table, with other values."""
    return frame().head(6).assign(**changes)


ROWS = [
    (first(carat=[1.0, NAN, NAN, 4, 5, 6]), "'carat': missing in 2 of 6 rows, and in none at fit"),
    (first(cut=["Fair", None, "Good"] * 2), "'cut': missing in 2 of 6 rows"),
    (first(rooms=[1.0, 2, 3, NAN, 5, 6]), "'rooms': missing in 1 of 6 rows"),
    (first(carat=[1.0, float("inf")] * 3), "'carat': infinite in 3 of 6 rows; remove"),
    (first(rooms=[1.5, 2, 3, 4, 5, 6]), "'rooms': whole .* 1 of 6 rows have a fraction, .* 1.5"),
    (first(rooms=[2**60] * 6), r"'rooms': 1.15292e\+18 is beyond 2\^53"),
    (first(cut=["Fair", "Idael"] * 3), "'cut': 'Idael' in 3 of 6 .*did you mean 'Ideal'.*Fair"),
    (first(stars=[1, 2, 3] * 2), "'stars': '3' in 2 of 6 rows, no value .* 1, 2, 5"),
    (first(carat=["1"] * 6), "'carat': text .* a number at fit; convert it"),
    (first(sold=["2020-01-01"] * 6), "'sold': text .* a date at fit; .* pandas.to_datetime"),
    (first(sold=pd.Timestamp("2020-01-01 03:04")), "'sold': days at fit, and 6 of 6 rows"),
    (first(one=["a", "b"] * 3), "'one': b in 3 of 6 rows, and every value was a at fit"),
    (first(none=SIX), "'none': values in 6 of 6 rows, and all were missing at fit"),
    (first(day=pd.Timestamp("2021-05-01")), "'day': '2021-05-01' in 6 .*there are 2020-05-01"),
    (first().rename(columns={"carat": "carats"}), "'carat': .*no such column; did.*'carats'.*add"),
    (first()[["carat"]], r"'depth': .*\(8 of 9 columns are missing\)"),
    (first(carrat=1), "'carrat': there was none at fit; did you mean 'carat'.*leave it out"),
    (first().to_numpy(), "'carat': the table has no such column"),
]


@pytest.mark.parametrize(("rows", "message"), ROWS, ids=[each[1][:14] for each in ROWS])
def test_rows_that_no_row_at_fit_could_be(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"column {message}"):
        table_schema(frame()).rows(rows)


def test_numbers_and_dates_beyond_those_at_fit_are_as_good_as_others() -> None:
    schema = table_schema(frame())
    rows = schema.rows(first(carat=-99.5, rooms=1000, sold=pd.Timestamp("1900-01-01")))
    assert rows[0, :4].tolist() == [-99.5, schema.column("depth").low, 1000, -25_567]


def test_times_of_whole_seconds() -> None:
    times = pd.DataFrame({"t": pd.to_datetime(["2020-01-01 00:00:01", "2020-01-01 00:00:00"])})
    with pytest.raises(ValueError, match=r"'t': whole seconds at fit.*2020-01-01T00:00:01.500000"):
        table_schema(times).rows(times + pd.Timedelta(milliseconds=500))


class Odd:
    """A value of no kind."""


TABLES = [
    ({"x": [Odd(), Odd()]}, "'x': objects of type Odd, neither numbers, text, booleans nor dates"),
    ({"x": [[1], [2]]}, "'x': objects of type list"),
    ({"x": ["a", 1]}, r"'x': values of several kinds \(int, text\); save all as text"),
    ({"x": [2**70, 1]}, "'x': whole numbers beyond 2.63"),
    ({"x": np.array([2**63 + 5, 1], "uint64")}, "'x': whole numbers up to 9223372036854775813"),
    ({"x": [2**60, *range(50)]}, r"'x': whole numbers up to 1.15292e\+18.*2\^53; subtract"),
    ({"x": [1.5, float("inf")]}, "'x': 1 infinite numbers"),
    ({"x": [dt.timedelta(1), dt.timedelta(2)]}, "'x': timedelta64.*neither numbers"),
    ({"x": [1j, 2j]}, "'x': complex128, neither numbers"),
    ({"x": [f"id {i}" for i in range(300)]}, "'x': 300 different values in 300 rows are no cat"),
    ({"x": pd.cut([1, 2, 3], 2)}, "'x': categories of type Interval; make text of them"),
    (
        {"x": [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None, dt.datetime(1, 1, 1)]},
        "'x': times with",
    ),
    ({"x": [dt.datetime(9000, 1, 1, 1, 1, 1, 1), dt.datetime(1, 1, 1)]}, "'x': micro.*seconds"),
]


@pytest.mark.parametrize(("columns", "message"), TABLES, ids=[each[1][:22] for each in TABLES])
def test_columns_of_no_kind(columns: dict[str, Any], message: str) -> None:
    is_objects = any(isinstance(each, dt.datetime) for each in columns["x"])
    with pytest.raises(ValueError, match=f"column {message}"):
        table_schema(pd.DataFrame(columns, dtype=object if is_objects else None))


def test_a_data_frame_of_polars_with_other_types() -> None:
    table = pl.DataFrame({"x": [dt.time(1), dt.time(2)]})
    with pytest.raises(ValueError, match=r"column 'x': Time, neither numbers.*leave it out"):
        table_schema(table)
    with pytest.raises(ValueError, match=r"column 'x': Decimal.*cast it to floats"):
        table_schema(pl.DataFrame({"x": ["1.5"]}).cast(pl.Decimal(5, 2)))
    with pytest.raises(ValueError, match=r"LazyFrame, no data frame.*collect it first"):
        table_schema(table.lazy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": {"rom": "category"}}, "kinds: no column 'rom'; did you mean 'rooms'"),
        ({"kinds": {"rooms": "categry"}}, "unknown kind of column 'categry'.*'category'"),
        ({"kinds": {"cut": "number"}}, r"'cut': text \(str\), no number; convert"),
        ({"kinds": {"cut": "whole"}}, "'cut': text .* no whole numbers"),
        ({"kinds": {"carat": "whole"}}, "'carat': some numbers have a fraction"),
        ({"kinds": {"cut": "date"}}, "'cut': text .* no date; .*to_datetime"),
        ({"kinds": {"sold": "category"}}, "'sold': dates are no categories"),
        ({"kinds": {"stars": "boolean"}}, "'stars': numbers other than 0 and 1"),
        ({"given": ["kut"]}, "column 'kut': unknown; did you mean 'cut'"),
        ({"given": ["cut", "cut"]}, "names a column twice"),
        ({"given": [*frame().columns]}, "given: all columns that vary"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_schema(frame(), **options)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "two columns named 'a'; give each"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["1", 1]), "two columns named '1'"),
        (pd.DataFrame([[1, 2]], columns=[("a", 1), ("a", 2)]), "name columns by text or whole"),
        (pd.DataFrame(), "a table without columns"),
        (pd.DataFrame({"a": [1.0, NAN, 2.5], "a is missing": SIX[:3]}), "that of another entry"),
        (frame().head(1), "no column of 9 varies.*give rows that differ"),
        (frame().head(0), "'carat': no rows; give at least two"),
        (np.zeros((4, 2)), "no column of 2 varies"),
        (np.zeros(4), "shape .4,.; give a data frame"),
        ([[1, 2], [3]], "rows of different lengths"),
        (np.ma.masked_array(np.eye(2), np.eye(2)), "mask"),
        (3, "int of shape"),
        (np.zeros(3, [("a", "f8", 2)]), r"'a': \(2,\) numbers in a row"),
    ],
    ids=range(13),
)
def test_tables_that_cannot_be(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_schema(table)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, NAN, "column 'carat': NaN or infinite in rows"),
        (4, 3.0, "column 'cut': code 3 in rows; give 0 to 2"),
        (4, -1.0, "column 'cut': code -1 in rows"),
        (7, 2.0, "column 'depth', missing or not: code 2 in rows; give 0 to 1"),
    ],
)
def test_samples_that_are_no_rows(place: int, value: float, message: str) -> None:
    schema = table_schema(frame())
    rows = schema.rows(frame())
    rows[2, place] = value
    with pytest.raises(ValueError, match=message):
        schema.frame(rows)


def test_the_shape_of_samples() -> None:
    with pytest.raises(ValueError, match=r"rows: shape \(2, 3\); give \(n, 8\)"):
        table_schema(frame()).frame(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "numbr"}, "column 'x': kind 'numbr'; give one of number, whole"),
        ({"step": 2.0}, "column 'x': step 2.0; give 86400, 1, 1e-6 or None"),
        ({"low": None}, "column 'x': number without low, high or step"),
        ({"kind": "date"}, "column 'x': date without low, high or step"),
        ({"values": []}, "column 'x': number without values"),
        ({"name": "y"}, "column 'y': its name is that of another entry"),
    ],
)
def test_a_schema_that_was_damaged(changes: dict[str, Any], message: str) -> None:
    schema = table_schema(pd.DataFrame({"x": [0.5, 1.5], "y": [2.5, 1.5]}))
    values = schema.to_dict()
    values["columns"][0] |= changes
    with pytest.raises(ValueError, match=message):
        TableSchema.from_dict(values)


def test_a_container_of_no_kind() -> None:
    with pytest.raises(ValueError, match="container='excel': give one of numpy"):
        TableSchema((Column("x", "number", low=0.0, high=1.0),), container="excel")
