"""JSON files, read within bounds of depth, of size and of the numbers in them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .files import read_bytes

MOST_JSON = 16 * 2**20
"""The largest JSON file that is read, in bytes."""
MOST_DEPTH = 64
"""The deepest nesting of lists and objects in a JSON file."""

_MOST_INTEGER = 2**64
_MOST_DIGITS = 25


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        most: the largest size that it may have, in bytes.

    Raises:
        ValueError: for a file that cannot be read, and as `parse_json`.
    """
    return parse_json(read_bytes(path, most), str(path))


def parse_json(text: str | bytes, name: str) -> Any:
    """The value of a JSON text.

    Args:
        text: the text; bytes are UTF-8.
        name: what it is called in messages.

    Raises:
        ValueError: for another text, nesting deeper than 64, an object with a name twice, a number
            that is not finite, or an integer beyond 2^64.
    """
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=_object,
        )
        _check_depth(value)
    except RecursionError:
        raise ValueError(f"{name} is nested deeper than {MOST_DEPTH} levels") from None
    except ValueError as error:
        raise ValueError(f"{name} is no JSON of ours ({error})") from None
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS or abs(int(text)) > _MOST_INTEGER:
        raise ValueError(f"{text[:_MOST_DIGITS]} is beyond 2^64")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_MOST_DIGITS]} is not finite")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has a name twice, one of {_few([name for name, _ in pairs])}")
    return found


def _few(names: list[str]) -> str:
    return ", ".join(name[:20] for name in names[:8])


def _check_depth(value: Any) -> None:
    """ValueError for a value that is nested too deeply."""
    layer = [value]
    for _ in range(MOST_DEPTH + 1):
        parts = [each for each in layer if isinstance(each, (dict, list))]
        if not parts:
            return
        layer = [item for each in parts for item in _items(each)]
    raise ValueError(f"nested deeper than {MOST_DEPTH} levels")


def _items(value: dict[str, Any] | list[Any]) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value
