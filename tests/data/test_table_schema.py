"""What the columns of a table are taken for, and the rows that they make, number by number."""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allegory.data import TableSchema, table_schema
from allegory.data.table_schema import FEW_VALUES

pd = pytest.importorskip("pandas")
pytest.importorskip("narwhals")

DAY = pd.Timestamp("2020-01-02")
NAN = float("nan")


def people(**changes: Any) -> Any:
    columns = {
        "age": list(range(20, 50)),
        "height": [1.5 + i / 70 for i in range(30)],
        "weight": [NAN if i % 10 == 3 else 60.5 + i for i in range(30)],
        "city": ["Rome", "Oslo", None] * 10,
        "smokes": [True, False, False] * 10,
        "children": [0, 1, 4] * 10,
        "born": [DAY + pd.Timedelta(days=i) for i in range(30)],
    }
    return pd.DataFrame(columns | changes)


def kinds(frame: Any, **options: Any) -> dict[str, str]:
    return {column.name: column.kind for column in table_schema(frame, **options).columns}


def test_kinds_are_taken_from_the_values() -> None:
    assert kinds(people()) == {
        "age": "whole",
        "height": "number",
        "weight": "number",
        "city": "category",
        "smokes": "boolean",
        "children": "whole",
        "born": "date",
    }


def test_rows_are_numbers_then_codes_then_what_is_missing() -> None:
    schema = table_schema(people())
    assert schema.numbers == ("age", "height", "weight", "born")
    assert schema.tokens == (("city", 3), ("smokes", 2), ("children", 3), ("weight is missing", 2))
    assert schema.entries == (*schema.numbers, *(name for name, _ in schema.tokens))
    assert schema.dims == 8 and schema.places("weight") == (2, 7) and schema.places("city") == (4,)

    assert schema.is_whole.tolist() == [True, False, False, True]

    rows = schema.rows(people())
    assert rows.dtype == np.float64 and rows.shape == (30, 8)
    born = 18_263.0  # days from 1970 to 2 January 2020
    assert rows[0].tolist() == [20, 1.5, 60.5, born, 1, 1, 0, 0]
    assert rows[1].tolist() == [21, 1.5 + 1 / 70, 61.5, born + 1, 0, 0, 1, 0]
    assert rows[3].tolist() == [23, 1.5 + 3 / 70, 60.5, born + 3, 1, 1, 0, 1]
    assert rows[5, 4] == 2  # the last code: no city


def test_columns_are_found_by_name() -> None:
    schema, frame = table_schema(people()), people()
    assert np.array_equal(schema.rows(frame[[*frame.columns[::-1]]]), schema.rows(frame))
    later = frame.set_index(frame["age"] * 7)
    assert np.array_equal(schema.rows(later), schema.rows(frame))
    assert schema.frame(schema.rows(later)).index.tolist() == list(range(30))


def test_whole_numbers_of_few_values_are_tokens() -> None:
    few = np.arange(FEW_VALUES).repeat(2)[:, None]
    assert table_schema(few).tokens == (("x0", FEW_VALUES),)
    more = np.append(few, [[FEW_VALUES]], axis=0)
    assert table_schema(more).numbers == ("x0",) and table_schema(more).columns[0].step == 1.0
    column = table_schema(few, kinds={"x0": "whole"}).columns[0]
    assert (column.kind, column.values, column.low, column.high) == ("whole", None, 0.0, 19.0)


def test_floats_of_a_data_frame_are_whole_where_some_are_missing() -> None:
    frame = pd.DataFrame({"n": [NAN, *range(40)], "f": [float(i) for i in range(41)]})
    assert kinds(frame) == {"n": "whole", "f": "number"}
    assert kinds(frame.to_numpy()) == {"x0": "number", "x1": "number"}
    assert table_schema(frame.assign(n=[NAN, *[1.0, 5.0] * 20])).column("n").values == (1, 5)


def test_kinds_are_overridden() -> None:
    frame = people()
    declared = {"age": "category", "children": "number", "smokes": "category"}
    schema = table_schema(frame, kinds=declared)
    assert schema.column("age").values == tuple(range(20, 50))
    assert "children" in schema.numbers and schema.column("children").step is None
    assert schema.column("smokes").kind == "category"
    assert schema.frame(schema.rows(frame)).equals(frame)
    assert table_schema(frame, kinds={"age": "number"}).column("age").is_whole is False
    bits = table_schema(np.array([[0], [1]]), kinds={"x0": "boolean"}).columns[0]
    assert (bits.kind, bits.values) == ("boolean", (0, 1))


@pytest.mark.parametrize(
    ("delta", "step"),
    [({"days": 3}, 86400.0), ({"hours": 5}, 1.0), ({"microseconds": 8}, 1e-6)],
)
def test_the_step_of_dates(delta: dict[str, int], step: float) -> None:
    frame = pd.DataFrame({"t": [DAY, DAY + pd.Timedelta(**delta)]})
    schema = table_schema(frame)
    assert schema.columns[0].step == step
    first, second = schema.rows(frame)[:, 0]
    assert first == 18_263 * 86400 / step
    assert second - first == round(pd.Timedelta(**delta).total_seconds() / step)


def test_notes_say_what_is_not_expected() -> None:
    frame = people(one="a", none=None, coarse=[0.5, 1.5, 2.5] * 10)
    schema = table_schema(frame)
    assert schema.notes == (
        "column 'one': every value is a; it has no density, and other values are refused",
        "column 'none': every value is missing; it is left out, and given back as missing",
        "column 'coarse': 3 distinct values in 30 rows; its density measures the rounding",
    )
    assert schema.column("one").kind == "constant" and schema.column("none").kind == "missing"
    assert schema.entries.count("one") == schema.entries.count("none") == 0
    stamps = pd.DataFrame({"t": pd.to_datetime([1, 2000], unit="ns")})
    assert "microseconds" in table_schema(stamps).notes[0]


def test_a_single_value_beside_missing_ones_is_a_token() -> None:
    frame = people(one=[2.5, NAN] * 15, day=[DAY, None] * 15, yes=[True, None] * 15)
    schema = table_schema(frame)
    assert {("one", 2), ("day", 2), ("yes", 2)} <= {*schema.tokens}
    rows = schema.rows(frame)
    for name in ("one", "day", "yes"):
        assert rows[:4, schema.places(name)[0]].tolist() == [0, 1, 0, 1]
    pd.testing.assert_frame_equal(schema.frame(rows), frame)


def test_what_is_known_where_values_are_to_be_imputed() -> None:
    schema, frame = table_schema(people()), people().head(4)
    frame = frame.assign(age=[20.0, NAN, 22, 23], smokes=[True, False, None, False])
    known, rows = schema.known(frame), schema.rows(frame, allow_missing=True)
    expected = np.ones((4, 8), bool)
    expected[1, 0] = expected[3, 2] = expected[2, 4] = expected[2, 5] = False
    assert np.array_equal(known, expected)
    assert rows[:, 0].tolist() == [20, 20, 22, 23] and rows[:, 7].tolist() == [0, 0, 0, 0]
    assert np.isfinite(rows).all() and rows[2, 4] == 2 and rows[2, 5] == 0
    assert schema.frame(rows)["weight"].isna().sum() == 0


@pytest.mark.parametrize("none", [None, NAN])
def test_rows_of_which_a_column_has_no_value(none: float | None) -> None:
    """A few rows say by no dtype of theirs what is missing."""
    frame = people(born=[None, *people()["born"][1:]], age=[NAN, *people()["age"][1:]])
    schema = table_schema(frame)
    rows = schema.rows(frame.head(2).assign(weight=none, born=none, age=none, city=none))
    low = [schema.column(name).low for name in ("age", "weight", "born")]
    assert rows[:, [0, 2, 3]].tolist() == [low] * 2 and rows[:, 4].tolist() == [2, 2]
    assert rows[:, 7:].tolist() == [[1, 1, 1]] * 2


def test_columns_that_are_given() -> None:
    schema = table_schema(people(), given=("weight", "city"))
    assert schema.is_given.tolist() == [False, False, True, False, True, False, False, True]
    rows = schema.rows(people())
    part = schema.rows_given(people()[["city", "weight"]])
    assert np.array_equal(part[:, schema.is_given], rows[:, schema.is_given])
    assert part[0].tolist() == [20, 1.5, 60.5, 18_263, 1, 0, 0, 0]


def test_samples_are_rounded_and_clamped() -> None:
    frame = pd.DataFrame(
        {"n": np.arange(100, dtype=np.uint8), "t": pd.date_range(DAY, periods=100)}
    )
    schema = table_schema(frame)
    made = schema.frame(np.array([[3.6, 18_262.6], [300.0, 1e15], [-2.0, -1e15]]))
    assert made["n"].tolist() == [4, 255, 0] and made["n"].dtype == np.uint8
    assert made["t"].tolist()[0] == DAY and made["t"].tolist()[1].year == 9999
    nanoseconds = table_schema(frame.astype({"t": "datetime64[ns]"}))
    assert nanoseconds.frame(np.array([[3.0, 1e15]]))["t"][0].year == 2262


def test_categories_are_in_the_order_of_their_dtype() -> None:
    texts = pd.Categorical(["a", "b", "c"] * 10, categories=["z", "c", "b", "a"])
    frame = people(city=texts)
    column = table_schema(frame).column("city")
    assert column.values == ("c", "b", "a") and column.categories == ("z", "c", "b", "a")
    assert table_schema(frame.astype({"city": str})).column("city").values == ("a", "b", "c")


def test_json_has_it_all() -> None:
    frame = people(part=pd.Categorical([1, 2, 2] * 10, categories=[3, 2, 1], ordered=True), one=3)
    schema = table_schema(frame.rename(columns={"age": 5}), given=["city"])
    again = TableSchema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again == schema and again.columns[0].label == 5
    with pytest.raises(ValueError, match=r"table.columns\[0\]: fields \['kind'\]"):
        TableSchema.from_dict({**schema.to_dict(), "columns": [{**_without_kind(schema)}]})


def _without_kind(schema: TableSchema) -> dict[str, Any]:
    return {name: value for name, value in schema.to_dict()["columns"][0].items() if name != "kind"}


def test_describe_is_json_for_people() -> None:
    about = {each["name"]: each for each in table_schema(people(), given=["city"]).describe()}
    assert json.loads(json.dumps(about)) is not None
    assert about["city"]["levels"] == 3 and about["city"]["given"] is True
    assert (about["born"]["low"], about["born"]["high"]) == ("2020-01-02", "2020-01-31")
    schema = table_schema(people())
    assert str(schema.column("born")) == "born: date in days, 2020-01-02 to 2020-01-31"
    assert str(schema.column("weight")) == "weight: number, 60.5 to 89.5, some missing"
    assert str(schema) == (
        "rows of a table: 2 numbers, 2 whole numbers, 1 date, 1 category, 1 boolean"
    )


def test_many_categories_and_many_columns() -> None:
    texts = pd.DataFrame({"t": [f"value {i % 200:03}" for i in range(400)]})
    schema = table_schema(texts)
    assert schema.tokens == (("t", 200),) and schema.rows(texts)[:400:57, 0].tolist() == [
        i % 200 for i in range(0, 400, 57)
    ]
    wide = np.random.default_rng(0).normal(size=(5, 1000))
    schema = table_schema(wide)
    assert schema.dims == 1000 and np.array_equal(schema.frame(schema.rows(wide)), wide)


def test_one_row_and_none() -> None:
    schema = table_schema(people())
    one = people().head(1)
    pd.testing.assert_frame_equal(schema.frame(schema.rows(one)), one)
    empty = people().head(0)
    assert schema.rows(empty).shape == (0, 8)
    pd.testing.assert_frame_equal(schema.frame(np.zeros((0, 8))), empty)


COLUMNS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.integers(-(2**53), 2**53),
        st.one_of(st.none(), st.text(max_size=3)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1))),
    ),
    min_size=2,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(COLUMNS)
def test_any_table_comes_back(values: list[tuple[Any, ...]]) -> None:
    array = np.empty((len(values), 6), dtype=object)
    array[:, :5] = values
    array[:, 5] = [i / 2 for i in range(len(values))]
    schema = table_schema(array)
    rows = schema.rows(array)
    assert np.isfinite(rows).all() and rows.shape == (len(values), schema.dims)
    schema.check_codes(rows[:, len(schema.numbers) :])
    back = schema.frame(rows)
    assert back.dtype == object and back.tolist() == array.tolist()
    assert np.array_equal(schema.rows(back), rows)
