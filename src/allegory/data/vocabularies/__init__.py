"""What the levels of discrete data stand for: bytes, characters, tokens, categories."""

from .base import VOCABULARIES, TextVocabulary, Vocabulary
from .categories import Categories, Category, are_categories
from .text import Bytes, Characters
from .tokenizer import Tokenizer
from .units import text_vocabulary

__all__ = [
    "VOCABULARIES",
    "Bytes",
    "Categories",
    "Category",
    "Characters",
    "TextVocabulary",
    "Tokenizer",
    "Vocabulary",
    "are_categories",
    "text_vocabulary",
]
