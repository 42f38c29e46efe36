"""The vocabulary of a text by the name of its unit."""

from __future__ import annotations

from ...lookup import pick
from .base import TextVocabulary
from .text import Bytes, Characters, check_characters

_UNITS = ("bytes", "characters")


def text_vocabulary(unit: str, text: str, padding: bool = False) -> TextVocabulary:
    """The vocabulary of a text.

    Args:
        unit: "bytes" or "characters".
        text: the text.
        padding: whether there is one more level, which follows the end of a shorter item.

    Raises:
        ValueError: for another unit, and a text that this vocabulary cannot hold.
    """
    pick("unit", unit, dict.fromkeys(_UNITS))
    if unit == "bytes":
        return Bytes(padding)

    check_characters(text)
    found = Characters.of(text, padding)
    if found.levels < 2:
        raise ValueError(f"text: holds the character {text[0]!r} alone; give text that varies")
    return found
