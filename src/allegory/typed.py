"""The kind of each value that was read from a file, checked against a type hint.

JSON has null, truth values, numbers, strings, lists and objects; a dataclass says by its type hints
which of them a field takes. A truth value is no number here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Make = Callable[[Mapping[str, Any], str], Any]
"""Makes the value of an object that says its "kind", from the object and its place."""

_LISTS = (tuple, list, Sequence)
_OBJECTS = (dict, Mapping)


class WrongKind(ValueError):
    """A value of another kind than its place has."""


def typed(value: Any, hint: Any, place: str, make: Make | None = None) -> Any:
    """A JSON value as its type hint has it: lists become tuples where the hint says so.

    Args:
        value: the JSON value.
        hint: its type, e.g. `float | None` or `tuple[int, ...]`; dataclasses are made by their
            fields.
        place: where it stands, for messages, e.g. "run.training.steps".
        make: makes objects that say their kind.

    Returns:
        The value.

    Raises:
        ValueError: for a value of another kind; the message names the place.
    """
    if isinstance(value, Mapping) and "kind" in value and make is not None:
        made = make(value, place)
        if not _is_instance(made, hint):
            raise _wrong(place, type(made).__name__, hint)
        return made

    origin = get_origin(hint) or hint
    if hint is Any or isinstance(hint, TypeVar):
        return _plain(value, place, make)
    if origin in (Union, UnionType):
        return _one_of(value, hint, place, make)
    if origin in _LISTS and isinstance(value, list):
        return _list(value, hint, origin, place, make)
    if origin in _OBJECTS and isinstance(value, Mapping):
        part = (get_args(hint) or (str, Any))[1]
        return {name: typed(each, part, f"{place}.{name}", make) for name, each in value.items()}
    if is_dataclass(origin) and isinstance(value, Mapping):
        return fields_of(origin, value, place, make)  # type: ignore[arg-type]
    if not _fits(value, hint, origin):
        raise _wrong(place, repr(value)[:60], hint)
    return value


def fields_of(kind: Callable[..., T], values: Any, place: str, make: Make | None = None) -> T:
    """A dataclass from an object with exactly its fields, each of the kind that its hint says.

    Args:
        kind: the dataclass.
        values: the object.
        place: where it stands, for messages.
        make: makes objects that say their kind.

    Returns:
        The instance.

    Raises:
        ValueError: for a field that is unknown, missing, or of another kind, and for what the
            dataclass refuses.
    """
    if not isinstance(values, Mapping):
        raise _wrong(place, repr(values)[:60], kind)

    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    odd = sorted(set(values) ^ set(known))
    if odd:
        raise ValueError(
            f"{place}: fields {odd} are unknown or missing; use the version that wrote it"
        )

    hints = _hints(kind)
    made = {
        name: typed(value, hints.get(name, Any), f"{place}.{name}", make)
        for name, value in values.items()
    }
    return kind(**made)


def _hints(kind: Any) -> dict[str, Any]:
    """The type hints of a class; none where they name what its module does not have."""
    try:
        return get_type_hints(kind)
    except (NameError, TypeError):
        return {}


def _one_of(value: Any, hint: Any, place: str, make: Make | None) -> Any:
    options = [each for each in get_args(hint) if each is not NoneType]
    if value is None and len(options) < len(get_args(hint)):
        return None

    for option in options:
        try:
            return typed(value, option, place, make)
        except WrongKind:
            if len(options) == 1 and isinstance(value, (list, dict)):
                raise
    raise _wrong(place, repr(value)[:60], hint)


def _list(value: list[Any], hint: Any, origin: Any, place: str, make: Make | None) -> Any:
    parts = get_args(hint) or (Any, ...)
    if origin is not tuple or parts[-1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise WrongKind(f"{place} has {len(value)} entries, expected {len(parts)}")

    if set(parts) <= {int, float, str, bool} and all(map(_fits, value, parts, parts)):
        return value if origin is list else tuple(value)

    made = [
        typed(each, part, f"{place}[{index}]", make)
        for index, (each, part) in enumerate(zip(value, parts, strict=True))
    ]
    return made if origin is list else tuple(made)


def _plain(value: Any, place: str, make: Make | None) -> Any:
    """A value without a type hint; lists become tuples."""
    if isinstance(value, list):
        return tuple(typed(each, Any, f"{place}[{i}]", make) for i, each in enumerate(value))
    if isinstance(value, Mapping):
        return {name: typed(each, Any, f"{place}.{name}", make) for name, each in value.items()}
    return value


def _fits(value: Any, hint: Any, origin: Any) -> bool:
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(hint))
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if hint is float:
        return isinstance(value, (int, float))
    if hint is None or hint is NoneType:
        return value is None
    return hint in (int, str) and isinstance(value, hint)


def _is_instance(made: Any, hint: Any) -> bool:
    """Whether a made object is of the hint; of a union, one of its parts will do."""
    if hint is Any or isinstance(hint, TypeVar):
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(_is_instance(made, each) for each in get_args(hint))
    try:
        return isinstance(made, get_origin(hint) or hint)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def _wrong(place: str, value: str, hint: Any) -> WrongKind:
    return WrongKind(f"{place} is {value}, expected {_words(hint)}")


def _words(hint: Any) -> str:
    """A type hint as text."""
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
