"""The columns of a table: which of them hold images, labels and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from ..lookup import printable
from .parquet_files import Table

INDEX = "__index_level_"  # the index of a pandas data frame


@dataclass(frozen=True)
class TableOptions:
    """What is read of a table, and how.

    Args:
        image: name of the column of images; None looks for one.
        label: name of the column of labels; None looks for one, "" leaves labels out.
        columns: names of columns of numbers, with commas between them; None takes all of them where
            there are no images. A comma in a name is written %2C, & is %26.
        size: the centred square of each image is resized to size x size; None leaves it.
        alpha: "drop" leaves transparency of images out; "keep" makes four channels.
        levels: how many values a number of a table can take; None means continuous.
        low: the lowest possible number of a table, a law; None for no bounds.
        high: the highest possible number, likewise.
        condition: names of the columns that are the condition, of numbers or of text, with commas
            between them; None for none.
    """

    image: str | None = None
    label: str | None = None
    columns: str | None = None
    size: int | None = None
    alpha: str = "drop"
    levels: int | None = None
    low: float | None = None
    high: float | None = None
    condition: str | None = None


@dataclass(frozen=True)
class Chosen:
    """The columns that are read.

    Args:
        image: of images; None for a table of numbers.
        label: of labels; None without.
        numbers: of numbers or categories; none for images.
        condition: of the condition.
        are_categories: whether they are text and booleans, which are categories.
    """

    image: str | None
    label: str | None
    numbers: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    are_categories: bool = False


def chosen_columns(table: Table, options: TableOptions) -> Chosen:
    """The columns of a table that are read.

    Raises:
        ValueError: for a column that is absent, and tables that hold neither images nor numbers.
    """
    condition = () if options.condition is None else _names(options.condition)
    for name in condition:
        _check_known(table, name, "condition")
    if len({*condition}) < len(condition):
        raise ValueError("?condition: names a column twice; leave it out")

    label = _label_column(table, options.label)
    if options.label is None and label in condition:
        label = None
    chosen = _chosen(table, options, label, condition)
    for name in condition:
        if name in chosen.numbers:
            raise ValueError(
                f"column {printable(name)!r}: in ?columns and in ?condition; leave it out of one"
            )

    return replace(chosen, condition=condition)


def _chosen(
    table: Table, options: TableOptions, label: str | None, condition: tuple[str, ...]
) -> Chosen:
    """The columns of images, or of numbers, and that of the labels."""
    if options.columns is not None:
        if options.image is not None:
            raise ValueError("?image and ?columns: give one of them")
        names = _names(options.columns)
        if options.label is None and label in names:
            label = None
        return _numbers(table, names, label)

    image = _image_column(table, options.image)
    if image is not None:
        return Chosen(image, label)
    names = _all_numbers(table, (label, *condition))
    return Chosen(None, label, names, are_categories=_are_categories(table, names))


def _names(text: str) -> tuple[str, ...]:
    """Names of columns with commas between them."""
    return tuple(unquote(name) for name in text.split(","))


def _label_column(table: Table, wanted: str | None) -> str | None:
    if wanted is not None:
        name = unquote(wanted)
        return _check_known(table, name, "label") if name else None
    typed = [name for name in table.columns if table.class_names(name) is not None]
    return "label" if "label" in table.columns else next(iter(typed), None)


def _image_column(table: Table, wanted: str | None) -> str | None:
    """The column of images, None where there seems to be none."""
    typed = [name for name in table.columns if table.is_image(name)]
    named = [name for name in ("image", "img") if name in table.columns]
    if wanted is None and not (typed or named):
        return None

    name = (typed or named)[0] if wanted is None else unquote(wanted)
    kind = table.schema.field(_check_known(table, name, "image")).type
    if not _holds_images(kind):
        raise ValueError(
            f"column {name!r}: holds no encoded images ({kind}); for a table of numbers give "
            "?columns=NAME,NAME"
        )
    return name


def _holds_images(kind: Any) -> bool:
    """Whether cells are bytes, paths, or both in the layout of the hub."""
    import pyarrow as pa

    of_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_null)
    of_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    if not pa.types.is_struct(kind):
        return any(test(kind) for test in (*of_bytes, *of_text))

    fields = {field.name: field.type for field in kind}
    tests = {
        name: each for name, each in (("bytes", of_bytes), ("path", of_text)) if name in fields
    }
    return bool(tests) and all(any(test(fields[n]) for test in tests[n]) for n in tests)


def _all_numbers(table: Table, taken: tuple[str | None, ...]) -> tuple[str, ...]:
    """All columns but `taken`, of labels and the condition. ValueError for one without numbers."""
    names = [n for n in table.columns if n not in taken and not n.startswith(INDEX)]
    label = taken[0]
    good = [name for name in names if _is_number(table, name)]
    if names and (len(good) == len(names) or _are_categories(table, names)):
        return tuple(names)

    others = [printable(name) for name in names if name not in good]
    if not others:
        raise ValueError(
            "no column holds images, numbers or categories; name one, as in ?image=NAME"
        )

    example = printable(f"?columns={','.join(good[:3])}") if good else "?image=NAME"
    label_too = f"name the label, as in ?label={others[0]}, or " if good and not label else ""
    raise ValueError(
        f"column{'s' if len(others) > 1 else ''} {', '.join(others)}: neither images nor numbers; "
        f"{label_too}choose those to learn from, as in {example}, or make text of all, which are "
        "then categories"
    )


def _numbers(table: Table, names: tuple[str, ...], label: str | None) -> Chosen:
    if len({*names}) < len(names) or label in names:
        raise ValueError("?columns: names a column twice, or that of the labels; leave it out")
    for name in names:
        _check_known(table, name, "columns")
    if _are_categories(table, names):
        return Chosen(None, label, names, are_categories=True)

    for name in names:
        if not _is_number(table, name):
            raise ValueError(
                f"column {printable(name)!r}: {table.schema.field(name).type}, no numbers; "
                "leave it out of ?columns"
            )
    return Chosen(None, label, names)


def _is_number(table: Table, name: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _are_categories(table: Table, names: Sequence[str]) -> bool:
    """Whether columns are text and booleans, one of them text at least."""
    import pyarrow as pa

    is_text = []

    for name in names:
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text.append(pa.types.is_string(kind) or pa.types.is_large_string(kind))
        if not is_text[-1] and not pa.types.is_boolean(kind):
            return False

    return any(is_text)


def _check_known(table: Table, name: str, option: str) -> str:
    if name not in table.columns:
        known = ", ".join(printable(each) for each in table.columns[:20])
        raise ValueError(f"?{option}={printable(name)}: no such column; there are {known}")
    return name
