"""The vocabulary of a text by the name of its unit."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from ...lookup import printable
from .base import TextVocabulary
from .text import Bytes, Characters, check_characters
from .tokenizer import Tokenizer

_UNITS = ("bytes", "characters")


def text_vocabulary(unit: str, text: str, padding: bool = False) -> TextVocabulary:
    """The vocabulary of a text.

    Args:
        unit: "bytes", "characters", or a tokenizer: a file tokenizer.json, a folder that has one,
            or a name at huggingface.co.
        text: the text.
        padding: whether there is one more level, which follows the end of a shorter item.

    Raises:
        ModuleNotFoundError: for a tokenizer without the package tokenizers.
        ValueError: for another unit, and a text that this vocabulary cannot hold.
    """
    if unit == "bytes":
        return Bytes(padding)

    check_characters(text)
    if unit != "characters":
        _check_unit(unit)
        return Tokenizer.of(unit, padding)

    found = Characters.of(text, padding)
    if found.levels < 2:
        raise ValueError(f"text: holds the character {text[0]!r} alone; give text that varies")
    return found


def _check_unit(unit: str) -> None:
    """Refuse a slip of "bytes" or "characters", which is no name of a tokenizer. ValueError."""
    close = get_close_matches(unit, _UNITS, n=1, cutoff=0.7)
    if not unit or (close and not Path(unit).exists()):
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"unit {printable(unit)!r}: not known; {hint}give 'bytes', 'characters', a file "
            "tokenizer.json or a name at huggingface.co"
        )
