"""Conditions of a model, one per item: values in the user's units, and rows of a tensor."""

from .base import (
    CONDITIONS,
    Condition,
    Conditioning,
    NoConditioning,
    hidden_like,
    is_hidden,
    rows_of,
)
from .combined import Combined
from .encoded_text import EncodedText
from .labels import Labels
from .numbers import Numbers
from .picture import Picture
from .tags import Tags
from .text import Text

__all__ = [
    "CONDITIONS",
    "Combined",
    "Condition",
    "Conditioning",
    "EncodedText",
    "Labels",
    "NoConditioning",
    "Numbers",
    "Picture",
    "Tags",
    "Text",
    "hidden_like",
    "is_hidden",
    "rows_of",
]
