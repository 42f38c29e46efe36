"""Items with a vocabulary as text: what they stand for, for people and for other programs."""

from __future__ import annotations

import csv
from io import StringIO

from .items import Items
from .spec import DataSpec
from .vocabularies import Bytes, Categories, TextVocabulary


def item_texts(items: Items, spec: DataSpec) -> list[str]:
    """The text of each item.

    Args:
        items: raw items.
        spec: what they are; its vocabulary is one of text.

    Raises:
        ValueError: for items without such a vocabulary.
    """
    if not isinstance(spec.vocabulary, TextVocabulary):
        raise ValueError(f"items without text ({spec}); save them as arrays or as a picture")
    return spec.vocabulary.texts(spec.index(items.x))


def text_of_items(items: Items, spec: DataSpec) -> str:
    """Items of text in one file.

    Items that end in padding are lines of it, and are read again with ?items=lines; a line end
    inside of one is written \\n. Others have a line before them with their number, from 1, and
    their label or condition.

    Args:
        items: raw items.
        spec: what they are; its vocabulary is one of text.

    Raises:
        ValueError: for items without such a vocabulary.
    """
    texts = item_texts(items, spec)
    given = given_texts(items, spec)
    if getattr(spec.vocabulary, "padding", False) and given is None:
        return "".join(text.replace("\n", "\\n") + "\n" for text in texts)

    heads = [""] * len(texts) if given is None else [f", {each}" for each in given]
    parts = zip(heads, texts, strict=True)
    return "".join(f"===== {i}{head} =====\n{text}\n" for i, (head, text) in enumerate(parts, 1))


def joined_text(items: Items, spec: DataSpec) -> bytes:
    """The text that items were taken from, in UTF-8.

    Windows follow one another without a sign between them, and their bytes are kept as they are
    where tokens are bytes. Items with padding are lines, as in `text_of_items`.

    Args:
        items: raw items, in the order of the text.
        spec: what they are; its vocabulary is one of text.

    Raises:
        ValueError: for items without such a vocabulary.
    """
    vocabulary = spec.vocabulary
    if not isinstance(vocabulary, TextVocabulary) or vocabulary.padding:
        return text_of_items(Items(items.x), spec).encode()

    tokens = spec.index(items.x).flatten()
    return (
        vocabulary.raw(tokens)
        if isinstance(vocabulary, Bytes)
        else vocabulary.decode(tokens).encode()
    )


def csv_of_items(items: Items, spec: DataSpec) -> str:
    """Items of categories as comma-separated values, which are read as the same items again.

    Args:
        items: raw items; a label or condition becomes a column of its own.
        spec: what they are; its vocabulary is `Categories`.

    Raises:
        ValueError: for items without such a vocabulary.
    """
    if not isinstance(spec.vocabulary, Categories):
        raise ValueError(f"items without categories ({spec}); save them as arrays")
    places = range(len(spec.vocabulary.values))
    names = [f"column_{place}" for place in places] if spec.columns is None else [*spec.columns]
    rows = spec.vocabulary.decode(spec.index(items.x))

    given = given_texts(items, spec)
    if given is not None:
        names.append(_free(spec.given_name, names))
        rows = [[*row, value] for row, value in zip(rows, given, strict=True)]

    file = StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(names)
    table.writerows(rows)
    return file.getvalue()


def given_texts(items: Items, spec: DataSpec) -> list[str] | None:
    """The label or condition of each item as text; None without."""
    if items.condition is not None and spec.condition is not None:
        return spec.condition.texts(items.condition)
    if items.labels is not None:
        return [str(value) for value in spec.class_values(items.labels).tolist()]
    return None


def _free(name: str, names: list[str]) -> str:
    """The name of a new column: this one, with signs after it where a column has it."""
    while name in names:
        name += "_"
    return name
