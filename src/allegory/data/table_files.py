"""Tables in text files: comma-separated values, and an object of JSON per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..files import check_readable
from ..lookup import printable
from .dataset import Dataset
from .memory import check_memory
from .parquet import from_tables
from .parquet_files import Table, file_table
from .places import MissingData
from .table_columns import INDEX, TableOptions

_COPIES = 8  # bytes in memory for each byte of a file
_REASON = 160  # characters of what pyarrow says

TABLES = (".csv", ".jsonl", ".parquet")
"""What the names of tables end in."""


def csv_file(path: Path, *, options: TableOptions) -> Dataset:
    """The items of a table of comma-separated values, with the names of its columns first.

    Args:
        path: the file.
        options: what is read of it.

    Raises:
        ValueError: for a file that is no such table, or holds neither numbers nor categories.
    """
    return from_tables(path.stem, printable(path), {"train": text_table(path)}, options, ())


def table_of(path: Path) -> Table:
    """The rows of a .csv, .jsonl or .parquet file. ValueError for one that cannot be read."""
    return file_table([path]) if path.suffix.lower() == ".parquet" else text_table(path)


def frame_of(path: str) -> Any:
    """The table in a .csv, .jsonl or .parquet file as one of pyarrow, without an index of pandas.

    Args:
        path: the file.

    Raises:
        ValueError: for a file that is not there, or is no such table.
    """
    import pyarrow as pa

    file = Path(path).expanduser()
    if not file.exists():
        raise MissingData(f"table {printable(path)}: no such file; check the path")
    if file.suffix.lower() not in TABLES or file.is_dir():
        raise ValueError(f"table {printable(path)}: give a file, {', '.join(TABLES)}")

    table = table_of(file)
    names = [each for each in table.columns if not each.startswith(INDEX)]
    return pa.table({each: table.column(each) for each in names})


def text_table(path: Path) -> Table:
    """The rows of a .csv or .jsonl file, in UTF-8.

    Args:
        path: the file; the type of each column is taken from all of its cells.

    Raises:
        ValueError: for a file that is damaged or empty, and a first line without names.
    """
    import pyarrow as pa

    size = check_readable(path)
    check_memory(_COPIES * size, f"a table of {size:,} bytes", "give a part of it")

    try:
        found = _read(path, max(1, size))
    except pa.ArrowException as error:
        reason = printable(str(error).splitlines()[0][:_REASON])
        remedy = "write an object of JSON per line, with values of one kind in each column"
        if path.suffix.lower() == ".csv":
            remedy = "write the names of the columns first, and as many cells in each line"
        raise ValueError(
            f"{printable(path)}: no table that can be read ({reason}); {remedy}"
        ) from None

    _check_columns(path, found.schema)

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        yield from found.select(list(columns)).combine_chunks().to_batches(rows)

    return Table(found.schema.remove_metadata(), found.num_rows, {}, read, ())


def _check_columns(path: Path, schema: Any) -> None:
    """Refuse columns of another table than this: no names, other separators, no text."""
    import pyarrow as pa

    names = schema.names
    if len({*names}) < len(names):
        raise ValueError(f"{printable(path)}: two columns of one name; give each its own")
    if any(_is_number(name) for name in names):
        raise ValueError(
            f"{printable(path)}: its first line is to hold the names of the columns, and has "
            f"{printable(', '.join(names[:3]))}; write them there"
        )

    other = next((sign for sign in ";\t|" if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        raise ValueError(
            f"{printable(path)}: its columns are divided by {other!r}; write commas, as by "
            f"pandas.read_csv(FILE, sep={other!r}).to_csv(NEW, index=False)"
        )
    for field in schema:
        if pa.types.is_binary(field.type):
            raise ValueError(
                f"{printable(path)}: column '{printable(field.name)}' is no UTF-8; convert it, as "
                "by pandas.read_csv(FILE, encoding='latin-1').to_csv(NEW, index=False)"
            )


def _read(path: Path, size: int) -> Any:
    """The table of pyarrow; one block, so that types are taken from the whole file. Cells of no
    characters are empty.
    """
    if path.suffix.lower() == ".jsonl":
        from pyarrow import json

        return json.read_json(path, read_options=json.ReadOptions(block_size=size))

    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    found = csv.read_csv(path, read_options=csv.ReadOptions(block_size=size))
    for place, field in enumerate(found.schema):
        if field.type == pa.string():
            column = found.column(place)
            is_empty = pc.equal(column, "")
            found = found.set_column(place, field, pc.if_else(is_empty, None, column))
    return found


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
