"""Text as the condition, by words or characters, with an encoder that is trained along."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ..lookup import Note, pick, printable
from .base import (
    CONDITIONS,
    HIDDEN,
    Condition,
    Conditioning,
    check_dropout,
    check_positive,
    check_rows,
    hide_some,
    is_missing,
)
from .text_module import TextConditioning

_END, _UNKNOWN, _FIRST = 0, 1, 2
"""Numbers of the end of a text, of an unknown word, and of the first word of the vocabulary."""

_MOST_WORDS = 100_000
_MOST_LENGTH = 1024
_SHOWN = 8  # words in a message
_ALIKE = 0.65  # "rde" is red, and "green" is not seven

_UNITS: dict[str, re.Pattern[str]] = {
    "word": re.compile(r"\w+|[^\w\s]"),
    "character": re.compile(r".", re.DOTALL),
}


def split_text(text: str, unit: str) -> list[str]:
    """The words and signs of a text, or its characters, in lower case (Unicode NFC).

    Args:
        text: any text.
        unit: "word" or "character".

    Raises:
        ValueError: for another unit.
    """
    pattern = pick("unit", unit, _UNITS)
    return pattern.findall(unicodedata.normalize("NFC", text).lower())


def texts_of(values: Any) -> tuple[list[str], Bool[Tensor, " n"] | None]:
    """The texts that a user gives, and which of them are missing; None where it is one text for
    all items.

    Args:
        values: a text, or one per item in a list, an array or a column; None or NaN where one is
            missing, which is "" here.

    Raises:
        ValueError: for what is no text.
    """
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, str):
        return [plain], None

    several = plain if isinstance(plain, list | tuple) else []
    missing = [is_missing(each) for each in several]
    texts = ["" if absent else each for each, absent in zip(several, missing, strict=True)]
    if not texts or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"condition={values!r:.60}: give text, one for all items or one each")
    return texts, torch.tensor(missing)


@dataclass(frozen=True)
class Text(Condition):
    """A text per item: rows are the numbers of its words, 0 after its end, all -1 where hidden.

    Args:
        vocabulary: the words, or the characters; number 2 is the first, 1 stands for all others.
        length: of a row; a longer text is cut.
        unit: "word" or "character".
        dropout: fraction of training items for which it alone is hidden, as a part of `Combined`.

    Raises:
        ValueError: for an empty vocabulary, a word that is there twice, an unknown unit, and
            numbers out of range.
    """

    vocabulary: tuple[str, ...]
    length: int
    unit: str = "word"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        check_positive("length", self.length)
        check_positive("the number of words", len(self.vocabulary))
        check_dropout(self.dropout)
        pick("unit", self.unit, _UNITS)
        if len(self.vocabulary) > _MOST_WORDS or self.length > _MOST_LENGTH:
            raise ValueError(
                f"vocabulary of {len(self.vocabulary):,}, length={self.length:,}: give at most "
                f"{_MOST_WORDS:,} words, and a length of at most {_MOST_LENGTH:,}"
            )
        if len({*self.vocabulary}) < len(self.vocabulary):
            raise ValueError("vocabulary: give each word once")

    @classmethod
    def of(
        cls,
        texts: Iterable[str | None],
        unit: str = "word",
        words: int = 10_000,
        length: int = 128,
        dropout: float = 0.0,
    ) -> Text:
        """The kind of the texts of training items: their words, and the length of the longest.

        Args:
            texts: of the training items; None where one is missing.
            unit: "word" or "character".
            words: the most common are kept, at most so many; all others are unknown.
            length: the largest length of a row.
            dropout: as of the class.

        Raises:
            ValueError: for texts without a word.
        """
        split = [split_text(text, unit) for text in texts if text is not None]
        counts = Counter(word for each in split for word in each)
        if not counts:
            raise ValueError("condition: texts without a word; leave them out")

        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        longest = max(len(each) for each in split)

        return cls(tuple(sorted(ranked[:words])), min(longest, length), unit, dropout)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(length,)."""
        return (self.length,)

    @property
    def dtype(self) -> torch.dtype:
        """int64."""
        return torch.int64

    def __str__(self) -> str:
        units = self.unit if self.length == 1 else f"{self.unit}s"
        return f"text of up to {self.length} {units} out of {len(self.vocabulary):,}"

    def encode(self, values: Any) -> Int64[Tensor, "*n_length"]:
        """The numbers of the words of one text, (length,), or of several, (n, length).

        A `Note` names words that are not in the vocabulary, which are all read as one unknown word,
        and texts that are cut or empty.

        Args:
            values: a text, or one per item; None or NaN where it is missing, and hidden.

        Raises:
            ValueError: for what is no text.
        """
        texts, missing = texts_of(values)
        rows = self._rows(texts)
        self._note_empty(rows[:, 0] == _END if missing is None else (rows[:, 0] == _END) & ~missing)
        return rows[0] if missing is None else hide_some(rows, missing)

    def texts(self, rows: Int64[Tensor, "n length"]) -> list[str]:
        """The words of each row, "?" for an unknown one."""
        words = ("", "?", *self.vocabulary)
        between = "" if self.unit == "character" else " "
        return [
            "hidden" if row[0] < 0 else between.join(words[number] for number in row if number > 0)
            for row in rows.tolist()
        ]

    def parse(self, text: str) -> str:
        """The text itself."""
        return text

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items. ValueError."""
        check_rows(self, rows, count)
        most = len(self.vocabulary) + _FIRST - 1
        partly_hidden = (rows < 0).any(1) & (rows != -1).any(1)
        if bool((rows > most).any() | partly_hidden.any()):
            raise ValueError(
                f"condition: numbers of words from {int(rows.min())} to {int(rows.max())}; give 0 "
                f"to {most}, or -1 in all of a row to hide it"
            )

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A small encoder of the words."""
        return TextConditioning(len(self.vocabulary) + _FIRST, self.length, dim, space)

    def _rows(self, texts: Sequence[str]) -> Int64[Tensor, "n length"]:
        numbers = {word: number for number, word in enumerate(self.vocabulary, _FIRST)}
        rows = np.full((len(texts), self.length), _END, dtype=np.int64)
        unknown: Counter[str] = Counter()
        cut = 0

        for row, text in zip(rows, texts, strict=True):
            words = split_text(text, self.unit)
            cut += len(words) > self.length
            unknown.update(word for word in words if word not in numbers)
            found = [numbers.get(word, _UNKNOWN) for word in words[: self.length]]
            row[: len(found)] = found

        self._note(unknown, cut)
        return torch.from_numpy(rows)

    def _note(self, unknown: Counter[str], cut: int) -> None:
        """Say which words are unknown, and how many texts were cut."""
        if unknown:
            named = [self._named(word) for word, _ in unknown.most_common(_SHOWN)]
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            warnings.warn(
                f"condition: {self.unit}s that no training text had: {', '.join(named)}{more}; "
                "each is read as the same unknown one",
                Note,
                stacklevel=4,
            )

        if cut:
            warnings.warn(
                f"condition: {cut} text{'s' if cut > 1 else ''} of more than {self.length} "
                f"{self.unit}s; the rest was cut",
                Note,
                stacklevel=4,
            )

    def _note_empty(self, empty: Bool[Tensor, " n"]) -> None:
        """Say how many texts have no word."""
        if count := int(empty.sum()):
            warnings.warn(
                f"condition: {count} text{'s' if count > 1 else ''} without a {self.unit}, read as "
                f"empty; None hides the condition ({HIDDEN} at the command line)",
                Note,
                stacklevel=3,
            )

    def _named(self, word: str) -> str:
        close = get_close_matches(word, self.vocabulary, n=1, cutoff=_ALIKE)
        hint = f" (did you mean {printable(close[0])!r}?)" if close else ""
        return f"'{printable(word)}'{hint}"


CONDITIONS.register("Text", Text, "a text per item, by words or characters")
