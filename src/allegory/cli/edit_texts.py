"""Texts with missing characters, as `allegory edit` reads and writes them."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ..data import DataSpec
from ..data.text import text_lines
from ..data.vocabularies import Bytes, Characters, TextVocabulary
from ..lookup import printable
from .edit_work import EditResult

if TYPE_CHECKING:
    from .edit import Edit


@dataclass(frozen=True, eq=False)
class InputTexts:
    """Texts that were read, as tokens.

    Args:
        tokens: of each text; what is missing is 0.
        known: which tokens are known.
        names: of the files, with the number of the line where there are several.
    """

    tokens: Int64[Tensor, "n length"]
    known: Bool[Tensor, "n length"]
    names: tuple[str, ...]


def incomplete_texts(options: Edit, spec: DataSpec) -> InputTexts:
    """The texts of --input, in which the sign of --mask stands for what is missing.

    A file is one text; of a run that learned lines, each line of it is.

    Args:
        options: of the command.
        spec: what the texts are; its vocabulary is one of text.

    Raises:
        ValueError: for tokens that are no characters or bytes, no sign, files that cannot be read,
            and texts of another length or with other characters.
    """
    vocabulary = spec.vocabulary
    if not isinstance(vocabulary, Bytes | Characters):
        raise ValueError(
            f"RUN {options.folder!r}: its tokens are no characters ({vocabulary}), and what is "
            "missing is given by character; in Python, model.infill takes tokens"
        )
    sign = options.mask
    if sign is None or len(sign) != 1:
        raise ValueError(
            f"--mask {'none' if sign is None else printable(sign)}: give the sign that stands for "
            "each missing character, e.g. --mask _"
        )

    length, rows, names = spec.shape[0], [], []
    for file in options.input:
        for name, text in _texts_of(file, vocabulary):
            try:
                rows.append(_row(text, sign, vocabulary, length))
            except ValueError as error:
                raise ValueError(f"--input {printable(name)}: {error}") from None
            names.append(name)

    tokens, known = (torch.stack(parts) for parts in zip(*rows, strict=True))
    return InputTexts(tokens, known, tuple(names))


def edited_text(found: EditResult, spec: DataSpec) -> str:
    """All edits in one text, each below a line with the name of the input and its seed.

    Args:
        found: the edits.
        spec: what the texts are.
    """
    assert isinstance(spec.vocabulary, TextVocabulary), "edits of text"
    parts = []
    for name, edits in zip(found.inputs, found.shown.x, strict=True):
        texts = spec.vocabulary.texts(spec.index(edits))
        for seed, text in zip(found.edits, texts, strict=True):
            parts.append(f"===== {printable(name)}, {seed} =====\n{text}\n")
    return "".join(parts)


def _texts_of(file: str, vocabulary: TextVocabulary) -> Sequence[tuple[str, str]]:
    """The texts of a file by name, read as data are: the file as a whole, or its lines."""
    path = Path(file)
    try:
        content = path.read_bytes()
        if isinstance(vocabulary, Bytes):
            text = content.decode(errors="surrogateescape")
        else:
            text = content.removeprefix(codecs.BOM_UTF8).decode()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"--input {printable(file)}: {reason}; give a text file") from None
    except UnicodeDecodeError:
        raise ValueError(f"--input {printable(file)}: is no text in UTF-8; give one") from None
    if not vocabulary.padding:
        return [(path.name, text)]

    found = [(f"{path.name}:{i}", line) for i, line in enumerate(text_lines(text), 1) if line]
    if not found:
        raise ValueError(f"--input {printable(file)}: holds no line; give a line for each text")
    return found


def _row(
    text: str, sign: str, vocabulary: TextVocabulary, length: int
) -> tuple[Int64[Tensor, " length"], Bool[Tensor, " length"]]:
    """Tokens of the run's length, and which of them are known.

    ValueError for another length, and nothing that is missing.
    """
    if sign not in text:
        raise ValueError(f"no {sign!r} in it; put one for each missing character")

    body = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    tokens, known = _encoded(body, sign, vocabulary)
    rest = length - len(tokens)
    if 0 < rest <= len(text) - len(body):  # the line end, or its first sign, is a part of it
        tokens, known = _encoded(text[: len(body) + rest], sign, vocabulary)
    if vocabulary.padding and len(tokens) < length:
        rest = length - len(tokens)
        tokens = torch.cat([tokens, torch.full((rest,), vocabulary.levels - 1)])
        known = torch.cat([known, torch.ones(rest, dtype=torch.bool)])

    if len(tokens) != length:
        most = "at most " if vocabulary.padding else ""
        raise ValueError(
            f"{len(tokens)} {vocabulary.unit}s, and the run learned {length}; give {most}{length}"
        )
    return tokens, known


def _encoded(
    text: str, sign: str, vocabulary: TextVocabulary
) -> tuple[Int64[Tensor, " length"], Bool[Tensor, " length"]]:
    """Tokens, 0 where the sign is, and which are known."""
    tokens, known = [], []
    for place, part in enumerate(text.split(sign)):
        if place > 0:
            tokens.append(torch.zeros(1, dtype=torch.int64))
            known.append(torch.zeros(1, dtype=torch.bool))
        each = vocabulary.encode(part)
        tokens.append(each)
        known.append(torch.ones(len(each), dtype=torch.bool))
    return torch.cat(tokens), torch.cat(known)
