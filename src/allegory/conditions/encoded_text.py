"""Text as the condition, as the vector of an encoder that was trained before and stays as it is."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from ..lookup import Note, printable
from .base import (
    CONDITIONS,
    Condition,
    Conditioning,
    check_dropout,
    check_positive,
    hide_some,
    wrong_rows,
)
from .encoders import Encoder, load_encoder
from .text import texts_of

_MOST_NUMBERS = 65_536
_MOST_LENGTH = 4096
_SHOWN = 8  # words in a message


@dataclass(frozen=True)
class EncodedText(Condition):
    """A text per item, by an encoder of the package transformers: rows are one vector per text.

    The vector is the mean of the last hidden states over the tokens of the text. The encoder runs
    on the CPU when values are encoded, not in training. It is known by a hash, so that a network
    never reads vectors of another encoder that has the same name.

    Args:
        encoder: a folder, or a name at huggingface.co.
        dim: numbers of a vector.
        hash: of the weights and the vocabulary of the encoder, 16 hexadecimal digits.
        length: the largest number of tokens of a text; a longer one is cut.
        dropout: fraction of training items for which it alone is hidden, as a part of `Combined`.

    Raises:
        ValueError: for an empty name, numbers out of range, and what is no hash.
    """

    encoder: str
    dim: int
    hash: str
    length: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive("dim", self.dim)
        check_positive("length", self.length)
        check_dropout(self.dropout)
        if self.dim > _MOST_NUMBERS or self.length > _MOST_LENGTH:
            raise ValueError(
                f"dim={self.dim:,}, length={self.length:,}: give a dim of at most "
                f"{_MOST_NUMBERS:,}, and a length of at most {_MOST_LENGTH:,}"
            )
        if not self.encoder or not re.fullmatch(r"[0-9a-f]{16}", self.hash):
            raise ValueError("encoder, hash: make this kind by EncodedText.of(NAME)")

    @classmethod
    def of(cls, encoder: Any, length: int = 128, dropout: float = 0.0) -> EncodedText:
        """The kind of an encoder, which is loaded.

        Args:
            encoder: a folder, or a name at huggingface.co.
            length: the largest number of tokens of a text.
            dropout: as of the class.

        Raises:
            ModuleNotFoundError: without the package transformers.
            ValueError: for an encoder that is not there or cannot be read.
        """
        if not isinstance(encoder, str | Path) or not str(encoder):
            raise ValueError(f"encoder={encoder!r:.60}: give a folder, or a name at huggingface.co")
        name = str(Path(encoder).resolve() if Path(encoder).is_dir() else encoder)
        loaded = load_encoder(name)
        return cls(name, loaded.dim, loaded.hash, length, dropout)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(dim,)."""
        return (self.dim,)

    def __str__(self) -> str:
        return f"text by {printable(self.encoder)}"

    def encode(self, values: Any) -> Float32[Tensor, "*n_dim"]:
        """The vector of one text, (dim,), or of several, (n, dim).

        A `Note` names what the tokenizer of the encoder does not know, and texts that are cut.

        Args:
            values: a text, or one per item; None or NaN where it is missing, and hidden.

        Raises:
            ModuleNotFoundError: without the package transformers.
            ValueError: for what is no text, and for another encoder under this name.
        """
        texts, missing = texts_of(values)
        loaded = load_encoder(self.encoder)
        if loaded.hash != self.hash:
            raise ValueError(
                f"encoder {printable(self.encoder)}: its hash is {loaded.hash}, and the model "
                f"learned with {self.hash}; give that one, as in replace(kind, encoder=FOLDER)"
            )

        self._note(loaded, texts)
        rows = loaded.rows(texts, self.length)
        return rows[0] if missing is None else hide_some(rows, missing)

    def texts(self, rows: Float[Tensor, "n dim"]) -> list[str]:
        """The word "text" for each, as words cannot be read from a vector."""
        return ["hidden" if is_hidden else "text" for is_hidden in rows.isnan().all(1).tolist()]

    def parse(self, text: str) -> str:
        """The text itself."""
        return text

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A two-layer perceptron of the vector."""
        return EncodedTextConditioning(self, dim)

    def _note(self, loaded: Encoder, texts: list[str]) -> None:
        cut, unknown = loaded.cut_and_unknown(texts, self.length)
        if unknown:
            named = ", ".join(f"'{printable(word)}'" for word in unknown[:_SHOWN])
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            warnings.warn(
                f"condition: not in the vocabulary of {self.encoder}: {named}{more}; each is read "
                "as the same unknown one",
                Note,
                stacklevel=3,
            )
        if cut:
            warnings.warn(
                f"condition: {cut} text{'s' if cut > 1 else ''} of more than "
                f"{min(self.length, loaded.most_tokens)} tokens; the rest was cut",
                Note,
                stacklevel=3,
            )


class EncodedTextConditioning(Conditioning):
    """Adds a two-layer embedding of the vector, normalised, or a learned one where it is hidden.

    Args:
        kind: how many numbers a vector has.
        dim: width of the embedding.
    """

    def __init__(self, kind: EncodedText, dim: int) -> None:
        super().__init__()
        self.numbers = kind.dim
        self.embed = nn.Sequential(
            nn.LayerNorm(kind.dim), nn.Linear(kind.dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.hidden = nn.Parameter(torch.randn(dim))

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the text. ValueError for other rows."""
        if condition is None:
            return features, embedding + self.hidden

        wanted = (features.shape[0], self.numbers)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(wrong_rows(condition, wanted, "vectors of texts"))

        known = ~condition.isnan().any(1, keepdim=True)
        # Before the layers: NaN * 0 in a gradient is NaN.
        seen = torch.where(known, condition, 0.0).to(embedding.dtype)
        added = self.embed(seen).to(embedding.dtype)
        return features, embedding + torch.where(known, added, self.hidden)


CONDITIONS.register("EncodedText", EncodedText, "a text per item, by an encoder of transformers")
