"""Tables of pyarrow as files: .csv, .parquet, .jsonl."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

from ..lookup import printable
from .table_files import TABLES


def table_bytes(frame: Any, suffix: str) -> bytes:
    """A table as the content of a file.

    Args:
        frame: a table of pyarrow. In .csv and .jsonl its dates are text, and cells without a value
            empty or null.
        suffix: what the name of the file ends in, one of `TABLES`.

    Raises:
        ValueError: for another suffix.
    """
    writers = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}
    if suffix not in writers:
        raise ValueError(f"suffix={suffix!r}: give one of {', '.join(writers)}")
    return writers[suffix](frame)


def check_table_name(name: str, argument: str = "--out") -> Path:
    """The path of a file of a table.

    Args:
        name: the value of the argument.
        argument: for messages.

    Raises:
        ValueError: for a name that does not say which kind of table.
    """
    path = Path(name)
    if path.suffix not in TABLES:
        raise ValueError(
            f"{argument} {printable(name)}: give a name that ends in {', '.join(TABLES[:-1])} or "
            f"{TABLES[-1]} (a table)"
        )
    return path


def _csv(frame: Any) -> bytes:
    """A line of names, then a line per row; numbers with all their digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(frame.column_names)

    for batch in frame.to_batches(max_chunksize=10_000):
        columns = [_texts(batch.column(place)) for place in range(batch.num_columns)]
        writer.writerows(zip(*columns, strict=True))

    return file.getvalue().encode()


def _texts(column: Any) -> list[str]:
    """Cells as text; one without a value is empty."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return ["" if each is None else each for each in column.cast(pa.string()).to_pylist()]


def _parquet(frame: Any) -> bytes:
    """A file of Parquet, with the types of the columns."""
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(frame, file)
    return file.getvalue()


def _jsonl(frame: Any) -> bytes:
    """An object of JSON per line."""
    lines = [
        json.dumps({name: _plain(value) for name, value in row.items()}, ensure_ascii=False)
        for batch in frame.to_batches(max_chunksize=10_000)
        for row in batch.to_pylist()
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(value: Any) -> Any:
    """A cell as a value of JSON; dates as text, NaN as null."""
    if isinstance(value, date):
        return value.isoformat()
    return None if value != value else value
