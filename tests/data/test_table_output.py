"""Tables as files: what is written is read again."""

import datetime

import pyarrow as pa
import pytest

from allegory.data.table_files import frame_of
from allegory.data.table_output import check_table_name, table_bytes


@pytest.fixture
def frame():
    return pa.table(
        {
            "number": pa.array([0.1 + 0.2, None, -1e-300]),
            "whole": pa.array([2**53 + 1, None, -3]),
            "text": pa.array(['with "quotes", and commas', None, "two\nlines"]),
            "wed": pa.array([True, None, False]),
            "day": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1969, 1, 1)]),
            "kind": pa.array(["a", None, "b"]).dictionary_encode(),
        }
    )


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_is_read_again(frame, tmp_path, suffix):
    if suffix == ".csv":  # one line a row in the reader
        frame = frame.set_column(2, "text", pa.array(['a "quote", a comma', None, "plain é"]))
    file = tmp_path / f"table{suffix}"
    file.write_bytes(table_bytes(frame, suffix))
    again = frame_of(str(file))
    assert again.column_names == frame.column_names
    wanted = frame.to_pylist()
    if suffix == ".jsonl":
        wanted = [{**row, "day": row["day"] and row["day"].isoformat()} for row in wanted]
        found = again.to_pylist()
        for row in found:
            day = row["day"]
            row["day"] = day if day is None or isinstance(day, str) else day.date().isoformat()
        assert found == wanted
    else:
        assert again.to_pylist() == wanted


def test_names_of_tables():
    with pytest.raises(ValueError, match=r"--out rows.xls: give a name that ends in .csv, .jsonl"):
        check_table_name("rows.xls")
    with pytest.raises(ValueError, match=r"suffix='\.txt'"):
        table_bytes(pa.table({"a": [1]}), ".txt")
