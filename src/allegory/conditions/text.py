"""Text as the condition, by words or characters, with an encoder that is trained along."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..lookup import Note, pick, printable
from .base import CONDITIONS, Condition, Conditioning, check_dropout, check_positive, wrong_rows

_END, _UNKNOWN, _FIRST = 0, 1, 2
"""Numbers of the end of a text, of an unknown word, and of the first word of the vocabulary."""

_MOST_WORDS = 100_000
_MOST_LENGTH = 1024
_HEADS = 4
_CHANNELS, _CELL = 8, 4
"""Channels of the map of a text, and the side of its cells in pixels."""
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


def texts_of(values: Any) -> tuple[list[str], bool]:
    """The texts that a user gives, and whether they are one for all items.

    Args:
        values: a text, or one per item in a list, an array or a column.

    Raises:
        ValueError: for what is no text.
    """
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, str):
        return [plain], True

    are_texts = isinstance(plain, list | tuple) and all(isinstance(each, str) for each in plain)
    if not are_texts or not plain:
        raise ValueError(f"condition={values!r:.60}: give text, one for all items or one each")
    return [*plain], False


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
        texts: Iterable[str],
        unit: str = "word",
        words: int = 10_000,
        length: int = 128,
        dropout: float = 0.0,
    ) -> Text:
        """The kind of the texts of training items: their words, and the length of the longest.

        Args:
            texts: of the training items.
            unit: "word" or "character".
            words: the most common are kept, at most so many; all others are unknown.
            length: the largest length of a row.
            dropout: as of the class.

        Raises:
            ValueError: for texts without a word.
        """
        split = [split_text(text, unit) for text in texts]
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
        return f"text of up to {self.length} {self.unit}s out of {len(self.vocabulary):,}"

    def encode(self, values: Any) -> Int64[Tensor, "*n_length"]:
        """The numbers of the words of one text, (length,), or of several, (n, length).

        A `Note` names words that are not in the vocabulary, which are all read as one unknown word,
        and texts that are cut.

        Args:
            values: a text, or one per item.

        Raises:
            ValueError: for what is no text.
        """
        texts, is_one = texts_of(values)
        rows = self._rows(texts)
        return rows[0] if is_one else rows

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

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A small encoder of the words."""
        return TextConditioning(self, dim, space)

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

    def _named(self, word: str) -> str:
        close = get_close_matches(word, self.vocabulary, n=1, cutoff=_ALIKE)
        hint = f" (did you mean {printable(close[0])!r}?)" if close else ""
        return f"'{printable(word)}'{hint}"


class TextConditioning(Conditioning):
    """Adds a learned embedding of the text: a transformer layer over its words, and two means.

    Words have embeddings of their own and of their places; one layer of self-attention reads them
    (Vaswani et al. 2017). The means over the words of what goes into the layer and of what comes
    out of it, joined, are mapped to the embedding: a word says something alone, and something
    beside the others. For items with space they are mapped also to a coarse map, a cell for every
    4x4 pixels, which joins the features: a convolution does not know where it is, so a place in the
    text would be hard to follow by the embedding alone.

    Args:
        kind: vocabulary and length.
        dim: width of the embedding.
        space: the axes of an item after its channels.
    """

    def __init__(self, kind: Text, dim: int, space: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.length = kind.length
        width = -(-max(32, dim // 2) // _HEADS) * _HEADS
        self.words = nn.Embedding(len(kind.vocabulary) + _FIRST, width)
        self.places = nn.Parameter(0.02 * torch.randn(kind.length, width))

        self.norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

        self.dim = dim
        self.channels = _CHANNELS if space else 0
        self.grid = tuple(-(-side // _CELL) for side in space)
        count = dim + self.channels * prod(self.grid)
        self.out = nn.Sequential(nn.Linear(2 * width, dim), nn.SiLU(), nn.Linear(dim, count))
        self.hidden = nn.Parameter(torch.randn(count))

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the text. ValueError for other rows."""
        if condition is None:
            return self._added(features, embedding, self.hidden.expand(len(features), -1))

        wanted = (features.shape[0], self.length)
        if condition.shape != wanted or condition.is_floating_point():
            raise ValueError(wrong_rows(condition, wanted, "numbers of words"))

        is_hidden = (condition < 0).all(1, keepdim=True)
        read = self._encoded(condition.clamp_min(_END).long())
        return self._added(features, embedding, torch.where(is_hidden, self.hidden, read))

    def _added(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        read: Float[Tensor, "b count"],
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The embedding with the first numbers of `read`, the features with a map of the others."""
        embedding = embedding + read[:, : self.dim].to(embedding.dtype)
        if not self.channels:
            return features, embedding

        cells = read[:, self.dim :].reshape(-1, self.channels, *self.grid).to(features.dtype)
        space = list(features.shape[2:])
        return torch.cat([features, interpolate(cells, size=space)], dim=1), embedding

    def _encoded(self, numbers: Int64[Tensor, "b length"]) -> Float[Tensor, "b dim"]:
        """The embedding of each text."""
        known = numbers > _END
        known[:, 0] = True  # an empty text is its end alone
        h = self.words(numbers)

        read = h + self.places
        read = read + self.mix(self._attention(self.norm(read), known))
        read = read + self.layers(read)

        both = torch.cat([h, read], dim=2)
        weight = known.to(both.dtype)[..., None]
        out: Tensor = self.out((weight * both).sum(1) / weight.sum(1))
        return out

    def _attention(
        self, h: Float[Tensor, "b length width"], known: Bool[Tensor, "b length"]
    ) -> Float[Tensor, "b length width"]:
        """Attention, in four heads, to the words that are there."""
        query, key, value = (
            each.unflatten(2, (_HEADS, -1)).transpose(1, 2) for each in self.attend(h).chunk(3, 2)
        )
        mask = known[:, None, None]
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return mixed.transpose(1, 2).flatten(2)


CONDITIONS.register("Text", Text, "a text per item, by words or characters")
