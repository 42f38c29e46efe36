"""The rows of parquet files and of data sets of the Hugging Face hub, read a few at a time.

A file may come from anybody, so what its footer declares is checked before rows are read: there are
no more rows than the file has bytes, or than numbers of them fit into memory, and the description
that `datasets` stores is read by the JSON reader of this package. Images may be named by a path; it
is opened if it lies in the folder of the parquet file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..files import check_readable
from ..lookup import printable
from ..plain_json import parse_json

Features = Mapping[str, Any]
"""What `datasets` says of each column: its "_type" ("Image", "ClassLabel", ...) and "names"."""

_DESCRIPTION = b"huggingface"
_MOST_ROWS_READ = 4096
_REASON = 100  # characters of what pyarrow says


@dataclass(frozen=True)
class Table:
    """The rows of one set.

    Args:
        schema: names and types of its columns (pyarrow).
        rows: how many there are.
        features: what `datasets` says of its columns.
        read: the columns of these names, so many rows at a time, as record batches.
        folders: where images that are named by a path may lie.
    """

    schema: Any
    rows: int
    features: Features
    read: Callable[[Sequence[str], int], Iterator[Any]]
    folders: tuple[Path, ...]

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(self.schema.names)

    def class_names(self, column: str) -> list[str] | None:
        """The names of the classes of a column of class labels, None for any other column."""
        names = self.features.get(column, {}).get("names")
        return None if names is None else list(names)

    def is_image(self, column: str) -> bool:
        """Whether `datasets` says that a column holds images."""
        return bool(self.features.get(column, {}).get("_type") == "Image")

    def column(self, name: str) -> Any:
        """A whole column, as one array of pyarrow."""
        import pyarrow as pa

        parts = [batch.column(0) for batch in self.read([name], _MOST_ROWS_READ)]
        array = pa.chunked_array(parts, type=self.schema.field(name).type)
        if len(array) != self.rows:
            raise ValueError(f"{len(array)} rows, and its end says {self.rows}; write it again")
        return array.combine_chunks()


def file_table(files: Sequence[Path]) -> Table:
    """The rows of parquet files that hold the parts of one set.

    Raises:
        ValueError: for files that are damaged, or of different columns.
    """
    import pyarrow as pa

    opened = [_opened(file) for file in files]
    schemas = [file.schema_arrow.remove_metadata() for file in opened]
    for path, schema in zip(files, schemas, strict=True):
        if not schema.equals(schemas[0]):
            raise ValueError(
                f"{printable(path)}: other columns than {files[0].name}; write them alike"
            )

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        for path, file in zip(files, opened, strict=True):
            yield from _guarded(
                path, partial(file.iter_batches, columns=list(columns), batch_size=rows)
            )

    assert isinstance(schemas[0], pa.Schema)
    return Table(
        schemas[0],
        sum(file.metadata.num_rows for file in opened),
        _features(files[0], opened[0].schema_arrow.metadata),
        read,
        tuple({file.parent.resolve() for file in files}),
    )


def hub_table(dataset: Any, folders: Sequence[Path]) -> Table:
    """The rows of a `datasets.Dataset`.

    Args:
        dataset: the data set.
        folders: where `datasets` keeps what it downloads.
    """
    import datasets

    features: dict[str, dict[str, Any]] = {}
    encoded = dataset
    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.Image):
            features[name] = {"_type": "Image"}
            encoded = encoded.cast_column(name, datasets.Image(decode=False))
        elif isinstance(feature, datasets.ClassLabel):
            features[name] = {"_type": "ClassLabel", "names": list(feature.names)}

    def read(columns: Sequence[str], rows: int) -> Iterator[Any]:
        table = encoded.select_columns(list(columns)).with_format("arrow")
        for part in table.iter(rows):
            yield from part.combine_chunks().to_batches()

    schema = encoded.features.arrow_schema.remove_metadata()
    return Table(
        schema, len(dataset), features, read, tuple(folder.resolve() for folder in folders)
    )


def _opened(path: Path) -> Any:
    """A parquet file whose footer has been checked."""
    import pyarrow.parquet as pq

    size = check_readable(path)
    try:
        file = pq.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    except Exception as error:  # pyarrow raises many kinds for damaged bytes.
        raise _damaged(path, error) from None

    if not 0 <= rows <= 8 * size:
        raise ValueError(f"{printable(path)}: {rows} rows in {size} bytes; write it again")
    if len({*schema.names}) < len(schema.names):
        raise ValueError(f"{printable(path)}: two columns of one name; give each its own")
    return file


def _guarded(path: Path, batches: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The record batches of a file. ValueError where it is damaged."""
    try:
        yield from batches()
    except Exception as error:  # As above; what the caller raises does not come by here.
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ValueError:
    lines = str(error).splitlines() or [type(error).__name__]
    reason = printable(lines[0][:_REASON])
    return ValueError(f"{printable(path)}: not a whole parquet file ({reason}); write it again")


def _features(path: Path, metadata: Mapping[bytes, bytes] | None) -> Features:
    """What `datasets` says of the columns, in the metadata of a file; {} where it says nothing."""
    text = (metadata or {}).get(_DESCRIPTION)
    if text is None:
        return {}

    try:
        features = parse_json(text, "it")["info"]["features"]
        if not all(_is_feature(feature) for feature in features.values()):
            raise ValueError("class names are texts, each of them once")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{printable(path)}: the description of its columns (the metadata 'huggingface') is "
            f"damaged ({printable(str(error)[:_REASON])}); write it again"
        ) from None
    return {str(name): feature for name, feature in features.items() if isinstance(feature, dict)}


def _is_feature(feature: Any) -> bool:
    """Whether the names of classes, if there are any, can be such."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if names is None:
        return True
    return (
        isinstance(names, list)
        and len(names) > 0
        and all(isinstance(name, str) for name in names)
        and len({*names}) == len(names)
    )
