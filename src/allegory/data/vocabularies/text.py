"""Text by bytes and by characters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ...lookup import printable
from .base import VOCABULARIES, TextVocabulary

_BYTES = 256
_CONTINUES = (0x80, 0xBF)  # the bytes of UTF-8 that begin no character
_SHOWN = 8  # characters in a message
_SURROGATES = (0xD800, 0xDFFF)
_UTF_32 = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


@dataclass(frozen=True)
class Bytes(TextVocabulary):
    """Text by the bytes of UTF-8: 256 levels, any text, and any other bytes.

    Args:
        padding: whether there is one more level, which follows the end of a shorter item.
    """

    padding: bool = False
    unit: ClassVar[str] = "byte"

    @property
    def levels(self) -> int:
        """256, or 257 with padding."""
        return _BYTES + self.padding

    def __str__(self) -> str:
        return f"bytes{' and padding' if self.padding else ''}"

    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The bytes of a text.

        Args:
            text: any text; bytes that are no UTF-8 are code points U+DC80 to U+DCFF in it, as
                `bytes.decode` gives them with errors="surrogateescape".

        Raises:
            ValueError: for another surrogate code point, which UTF-8 has not.
        """
        return torch.from_numpy(np.frombuffer(_utf_8(text), dtype=np.uint8).astype(np.int64))

    def encode_all(self, texts: Sequence[str]) -> list[Int64[Tensor, " length"]]:
        """The bytes of each text."""
        counts = [len(_utf_8(text)) for text in texts]
        return list(self.encode("".join(texts)).split(counts))

    def decode(self, tokens: Shaped[Tensor, " length"]) -> str:
        """The text of bytes; what is no UTF-8 becomes the sign U+FFFD.

        Samples of a model, and items that begin or end inside of a character, hold such bytes.

        Args:
            tokens: whole numbers; padding levels are left out.

        Raises:
            ValueError: for numbers that are no bytes.
        """
        return self.raw(tokens).decode(errors="replace")

    def raw(self, tokens: Shaped[Tensor, " length"]) -> bytes:
        """The bytes themselves. ValueError for numbers that are none."""
        return self.without_padding(tokens).numpy().astype(np.uint8).tobytes()

    def byte_table(self) -> Int64[Tensor, " levels"]:
        """1 for each byte, 0 for the padding level."""
        return torch.tensor([1] * _BYTES + [0] * self.padding)

    def character_counts(self, tokens: Shaped[Tensor, "n length"]) -> Int64[Tensor, " n"]:
        """The bytes that begin a character: all but 0x80 to 0xBF."""
        whole = self.checked(tokens)
        begins = (whole < _CONTINUES[0]) | (whole > _CONTINUES[1])
        return (begins & (whole < _BYTES)).sum(-1)

    def table_from(self, other: Bytes) -> Int64[Tensor, " known"]:
        """The same byte."""
        return torch.arange(_BYTES)

    def option(self) -> str:
        """?unit=bytes."""
        return "?unit=bytes"


@dataclass(frozen=True)
class Characters(TextVocabulary):
    """Text by its characters, the code points of Unicode, out of those that are listed.

    Args:
        symbols: the characters, each of them once; level k is the k-th.
        padding: whether there is one more level, which follows the end of a shorter item.

    Raises:
        ValueError: for no characters, one that is there twice, and a surrogate code point.
    """

    symbols: str
    padding: bool = False
    unit: ClassVar[str] = "character"

    def __post_init__(self) -> None:
        if not isinstance(self.symbols, str) or not self.symbols:
            raise ValueError("symbols: give a text of at least one character")
        if len({*self.symbols}) < len(self.symbols):
            raise ValueError("symbols: give each character once")
        check_characters(self.symbols)

    @classmethod
    def of(cls, text: str, padding: bool = False) -> Characters:
        """The characters that occur in a text, in the order of their code points.

        Args:
            text: the text.
            padding: as of the class.

        Raises:
            ValueError: for an empty text, and for a surrogate code point.
        """
        points = np.unique(_code_points(text))
        return cls("".join(map(chr, points.tolist())), padding)

    @property
    def levels(self) -> int:
        """The number of characters, one more with padding."""
        return len(self.symbols) + self.padding

    def __str__(self) -> str:
        shown = self.symbols if len(self.symbols) <= 40 else f"{self.symbols[:37]}..."
        return (
            f"{len(self.symbols)} characters '{printable(shown)}'"
            f"{' and padding' if self.padding else ''}"
        )

    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The index of each character.

        Raises:
            ValueError: for characters that are not listed; it names them.
        """
        found = self._index(_code_points(text))
        if bool((found < 0).any()):
            missing = [*dict.fromkeys(each for each in text if each not in self.symbols)]
            self.refuse_text(missing, len(missing))
        return torch.from_numpy(found)

    def encode_all(self, texts: Sequence[str]) -> list[Int64[Tensor, " length"]]:
        """The indices of the characters of each text. ValueError as of `encode`."""
        return list(self.encode("".join(texts)).split([len(text) for text in texts]))

    def decode(self, tokens: Shaped[Tensor, " length"]) -> str:
        """The characters of indices. ValueError for numbers that are none."""
        points = _code_points(self.symbols)[self.without_padding(tokens).numpy()]
        return bytes(points).decode(_UTF_32)

    def byte_table(self) -> Int64[Tensor, " levels"]:
        """1 to 4 bytes for each character, 0 for the padding level."""
        counts = [len(each.encode()) for each in self.symbols]
        return torch.tensor(counts + [0] * self.padding)

    def untrained(
        self, tokens: Shaped[Tensor, "n length"], columns: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """A sentence on characters that occur in held-out items alone."""
        seen = torch.zeros(self.levels, dtype=torch.bool)
        seen[tokens.flatten().long()] = True
        missing = [each for each, was in zip(self.symbols, seen, strict=False) if not was]
        if not missing:
            return ()

        named = ", ".join(f"'{printable(each)}'" for each in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return (f"no training item has {named}{more}: likelihoods of items with it mean nothing",)

    def table_from(self, other: Characters) -> Int64[Tensor, " known"]:
        """The index of each character of the other vocabulary, -1 where it is not listed."""
        return torch.from_numpy(self._index(_code_points(other.symbols)))

    def option(self) -> str:
        """?unit=characters."""
        return "?unit=characters"

    def _index(self, points: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The index of each code point, -1 where it is not listed."""
        own = _code_points(self.symbols)
        order = np.argsort(own)

        place = np.searchsorted(own, points, sorter=order).clip(max=len(own) - 1)
        index = order[place]
        return np.where(own[index] == points, index, -1).astype(np.int64)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode(_UTF_32, "surrogatepass"), dtype=np.uint32)


def _utf_8(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise _surrogate_error(text, error.start) from None


def check_characters(text: str) -> None:
    """ValueError for a text with a surrogate code point, which is no character."""
    points = _code_points(text)
    odd = np.flatnonzero((points >= _SURROGATES[0]) & (points <= _SURROGATES[1]))
    if len(odd):
        raise _surrogate_error(text, int(odd[0]))


def _surrogate_error(text: str, place: int) -> ValueError:
    """The error for a surrogate code point at this place of a text."""
    return ValueError(
        f"text: character {place:,} is the surrogate U+{ord(text[place]):04X}, which UTF-8 cannot "
        "hold; remove it, or read the text with errors='replace'"
    )


VOCABULARIES.register("Bytes", Bytes, "text by the bytes of UTF-8")
VOCABULARIES.register("Characters", Characters, "text by its characters")
