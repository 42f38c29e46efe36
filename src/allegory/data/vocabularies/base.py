"""Vocabularies: what each level of discrete data stands for.

Items of shape (L,) are sequences of tokens, whole numbers from 0 to levels - 1. A vocabulary gives
their meaning: a `TextVocabulary` maps text to tokens and back, `Categories` has the values of the
columns of a table. It is a frozen value of plain fields, which the `DataSpec` holds and `run.json`
keeps, so that samples of a run come out as text, and other data are read by the same tokens.

Items of text of different lengths end in a padding level, the last one. It stands for no text: it
is left out of what is decoded, and counts no byte.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from ...lookup import Registry, printable

_SHOWN = 8  # tokens in a message


class Vocabulary(ABC):
    """What each level of discrete data stands for.

    A kind from outside the package is a frozen dataclass of plain fields with this base and one
    call of `VOCABULARIES.register`.
    """

    @property
    @abstractmethod
    def levels(self) -> int:
        """The number of levels, the padding level included."""

    @abstractmethod
    def translate(
        self,
        tokens: Int64[Tensor, "n length"],
        other: Vocabulary,
        columns: Sequence[str] | None = None,
    ) -> Int64[Tensor, "n length"]:
        """Tokens of another vocabulary as those of this one with the same meaning.

        Args:
            tokens: of items, by the other vocabulary.
            other: what they stand for.
            columns: names of the numbers of an item, for messages; None without names.

        Raises:
            ValueError: for a vocabulary of another kind, and for what has no token here.
        """

    def reordered(self, order: Sequence[int]) -> Vocabulary:
        """The vocabulary of the same items with their numbers in another order.

        Args:
            order: the place of each number before.
        """
        return self

    def check_fits(self, shape: tuple[int, ...], columns: tuple[str, ...] | None) -> None:
        """Refuse items that this does not fit. ValueError.

        Args:
            shape: of an item.
            columns: names of the numbers of an item; None without names.
        """
        if len(shape) != 1:
            raise ValueError(
                f"vocabulary: items of shape {shape}; it is for sequences (length,), leave it out"
            )

    def allowed(self, shape: tuple[int, ...]) -> Bool[Tensor, "*shape levels"] | None:
        """Which levels are possible at each number of an item; None where all are."""
        return None

    def untrained(
        self, tokens: Shaped[Tensor, "n length"], columns: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Sentences about what no training item has.

        Args:
            tokens: of the training items.
            columns: names of the numbers of an item; None without names.
        """
        return ()


class TextVocabulary(Vocabulary):
    """A vocabulary of text: its tokens are bytes, characters, or parts of words."""

    unit: ClassVar[str] = "token"
    """What one token is called in messages."""

    padding: bool
    """Whether the last level is a padding level."""

    @abstractmethod
    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The tokens of a text.

        Raises:
            ValueError: for text that this vocabulary cannot hold.
        """

    def encode_all(self, texts: Sequence[str]) -> list[Int64[Tensor, " length"]]:
        """The tokens of each of several texts. ValueError as of `encode`."""
        return [self.encode(text) for text in texts]

    @abstractmethod
    def decode(self, tokens: Shaped[Tensor, " length"]) -> str:
        """The text of tokens, the inverse of `encode`.

        Args:
            tokens: whole numbers; padding levels are left out.

        Raises:
            ValueError: for numbers that are no tokens.
        """

    @abstractmethod
    def byte_table(self) -> Int64[Tensor, " levels"]:
        """How many bytes of UTF-8 text each level stands for, 0 for the padding level."""

    def byte_counts(self, tokens: Shaped[Tensor, "n length"]) -> Int64[Tensor, " n"]:
        """How many bytes of UTF-8 text each item stands for, by which bits per byte divide.

        Args:
            tokens: of items, whole numbers; padding counts no byte.

        Raises:
            ValueError: for numbers that are no tokens.
        """
        return self.byte_table()[self.checked(tokens)].sum(-1)

    def character_counts(self, tokens: Shaped[Tensor, "n length"]) -> Int64[Tensor, " n"]:
        """How many characters each item stands for, by which bits per character divide.

        A character of several tokens counts where it begins, so that the items of a text have as
        many as the text, wherever it was divided.

        Args:
            tokens: of items, whole numbers; padding counts no character.

        Raises:
            ValueError: for numbers that are no tokens.
        """
        return torch.tensor([len(text) for text in self.texts(tokens)])

    def texts(self, tokens: Shaped[Tensor, "n length"]) -> list[str]:
        """The text of each item."""
        return [self.decode(each) for each in tokens]

    def checked(self, tokens: Shaped[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """Tokens as int64, on the CPU. ValueError for numbers that are no tokens."""
        whole = tokens.detach().cpu().long()
        if whole.numel() and not 0 <= int(whole.min()) <= int(whole.max()) < self.levels:
            raise ValueError(
                f"tokens: from {int(whole.min())} to {int(whole.max())}; {self} has 0 to "
                f"{self.levels - 1}"
            )
        return whole

    def without_padding(self, tokens: Shaped[Tensor, " length"]) -> Int64[Tensor, " rest"]:
        """The tokens that stand for text. ValueError for numbers that are no tokens."""
        whole = self.checked(tokens)
        return whole[whole != self.levels - 1] if self.padding else whole

    def translate(
        self,
        tokens: Int64[Tensor, "n length"],
        other: Vocabulary,
        columns: Sequence[str] | None = None,
    ) -> Int64[Tensor, "n length"]:
        """Tokens of another vocabulary of this kind as those of this one for the same text."""
        if not isinstance(other, TextVocabulary) or type(other) is not type(self):
            raise ValueError(
                f"{other}, and the run learned {self}; read the data by that, as in {self.option()}"
            )

        table = self.table_from(other)
        if other.padding:
            end = self.levels - 1 if self.padding else -1
            table = torch.cat([table, torch.tensor([end])])

        found = table[other.checked(tokens)]
        missing = tokens[found < 0].unique()
        if len(missing):
            self.refuse_text([other.decode(each) for each in missing[:_SHOWN, None]], len(missing))
        return found

    @abstractmethod
    def table_from(self, other: Any) -> Int64[Tensor, " known"]:
        """The level here of each level of another vocabulary of this kind, padding aside.

        Args:
            other: the other vocabulary.

        Returns:
            The level, -1 where there is none.

        Raises:
            ValueError: for a vocabulary that has no level in common.
        """

    @abstractmethod
    def option(self) -> str:
        """The option of a source of text for this vocabulary, e.g. "?unit=bytes"."""

    def refuse_text(self, texts: Sequence[str], count: int) -> NoReturn:
        """ValueError for text that has no level here.

        Args:
            texts: some of it, in single tokens; "" is the end of a shorter item.
            count: how many such tokens there are.
        """
        named = ", ".join(f"'{printable(each)}'" if each else "padding" for each in texts[:_SHOWN])
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        raise ValueError(
            f"text: {named}{more}: not in the vocabulary, {self}; replace or remove them, or train "
            "a run on data that have them"
        )


VOCABULARIES: Registry[Callable[..., Vocabulary]] = Registry("vocabulary")
