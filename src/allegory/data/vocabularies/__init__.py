"""What the levels of discrete data stand for: bytes, characters, tokens, categories."""

from .base import VOCABULARIES, TextVocabulary, Vocabulary
from .text import Bytes, Characters
from .units import text_vocabulary

__all__ = [
    "VOCABULARIES",
    "Bytes",
    "Characters",
    "TextVocabulary",
    "Vocabulary",
    "text_vocabulary",
]
