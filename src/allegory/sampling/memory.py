"""The message of a computation for which there is too little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_WORDS = ("out of memory", "allocate memory")


@contextmanager
def named_memory_error(what: str, remedy: str) -> Iterator[None]:
    """Inside the block, torch's error of too little memory is a ValueError in one line.

    Args:
        what: the argument and what it is the memory for.
        remedy: what to do.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in _WORDS):
            raise
        raise ValueError(f"{what}; {remedy}") from error
