"""Registries: what can be chosen by name, with a line of help for each name.

There is one `Registry` per kind of thing (solvers, targets, weights, schedules, ...). The command
line's choices and help, the names in `run.json` and the tables of the documentation are generated
from it, and an object from outside the package is added by one call of `register`. A name may be
followed by a number and by options, as in "cfg:2:low=-3".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from numbers import Integral
from typing import TypeVar, cast, overload

from .entries import Entry, option_number, option_whole, pick, whole_number, written

__all__ = [
    "MAX_PARAMETER",
    "Entry",
    "Note",
    "Registry",
    "check_count",
    "check_type",
    "is_whole",
    "option_number",
    "option_whole",
    "pick",
    "printable",
    "refuse_number",
    "whole_number",
    "written",
]

T = TypeVar("T")

MAX_PARAMETER = 1_000_000
"""The largest size of the number in "name:number"; arithmetic in float32 holds what it makes."""


def is_whole(value: object) -> bool:
    """Whether a value is an integer, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


class Note(UserWarning):
    """What was skipped of somebody's data, and why; the command line prints it in one line."""


def printable(text: object) -> str:
    """The text as one line for messages: what would move a cursor or colour a terminal is escaped.

    Names of files, columns and classes come from anywhere and may hold any character.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(text)
    )


def check_type(name: str, value: object, kinds: type | tuple[type, ...], remedy: str) -> None:
    """Refuse a value of another kind than those that an argument takes.

    Args:
        name: the argument.
        value: its value.
        kinds: the types that it may have.
        remedy: what to give.

    Raises:
        ValueError: for a value of another kind.
    """
    if not isinstance(value, kinds):
        what = value.__name__ if isinstance(value, type) else type(value).__name__
        shown = f" ({value!r})" if isinstance(value, str | int | float) else ""
        raise ValueError(f"{name}: of type {what}{shown}; give {remedy}")


def refuse_number(seeds: object) -> None:
    """ValueError for seeds that are one number, as if it were the number of items."""
    if isinstance(seeds, int):
        raise ValueError(f"seeds={seeds}: give one integer per item, e.g. seeds=range({seeds})")


def check_count(name: str, value: object, least: int, most: int) -> None:
    """Refuse a number of things that is no whole number, or that no machine can hold.

    Args:
        name: the argument, or an option of the command line, such as "--count".
        value: its value.
        least: the smallest number that means something.
        most: the largest.

    Raises:
        ValueError: for any other value.
    """
    if not is_whole(value) or not least <= cast(int, value) <= most:
        shown = f"{name} {value}" if name.startswith("--") else f"{name}={value}"
        raise ValueError(f"{shown}; give a whole number, {least} to {most:,}")


class Registry(Mapping[str, T]):
    """The objects of one kind by name, in the order in which they were registered.

    Args:
        kind: what one of them is called in messages, e.g. "solver".
        modules: the modules that register objects of this kind, where the registry itself cannot
            import them; they are imported at the first look-up.
    """

    def __init__(self, kind: str, modules: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._modules = modules
        self._registered: dict[str, Entry[T]] = {}

    @property
    def _entries(self) -> dict[str, Entry[T]]:
        modules, self._modules = self._modules, ()
        for module in modules:
            import_module(module)
        return self._registered

    @overload
    def register(
        self,
        name: str,
        value: T,
        help: str,
        *,
        make: Callable[..., T] | None = None,
        parameter: str = "",
        options: Mapping[str, str] | None = None,
    ) -> T: ...
    @overload
    def register(
        self,
        name: str,
        value: None,
        help: str,
        *,
        make: Callable[..., T],
        parameter: str,
        options: Mapping[str, str] | None = None,
    ) -> None: ...
    def register(
        self,
        name: str,
        value: T | None,
        help: str,
        *,
        make: Callable[..., T] | None = None,
        parameter: str = "",
        options: Mapping[str, str] | None = None,
    ) -> T | None:
        """Add an object under a new name.

        Args:
            name: letters, digits and underscores.
            value: the object that the bare name stands for; None where a number or an option is
                needed.
            help: one line for help texts and tables.
            make: the object for `name:number`, where a number may follow the name, called as
                make(number, **options). Options come as text, and an option without a default
                must be given.
            parameter: what that number is, e.g. "eta, a number from 0 to 1".
            options: the keys that may follow the number as `:key=value`, and what each is.

        Returns:
            The object.

        Raises:
            ValueError: when the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered already; choose another name")

        self._registered[name] = Entry(value, help, make, parameter, dict(options or {}))
        return value

    def named(self, text: str) -> T:
        """The object for a `text` "name", "name:number" or "name:number:key=value:key=value".

        Raises:
            ValueError: for an unknown name or option (the message names the closest), a number that
                does not fit, and an option that is missing or has no value.
        """
        if not isinstance(text, str):
            raise ValueError(f"unknown {self.kind} {text!r}; choose from {', '.join(self)}")
        if text in self._entries:
            return self[text]

        name, colon, tail = text.partition(":")
        entry = pick(self.kind, name, self._entries)
        if entry.make is None or not colon:
            raise ValueError(f"{self.kind} {text!r}: no number follows {name!r}; write {name!r}")

        number, *given = tail.split(":")
        try:
            options = entry.read_options(name, given)
        except ValueError as error:
            raise ValueError(f"{self.kind} {text!r}: {error}") from None
        return self._made(text, name, number, options)

    def _made(self, text: str, name: str, number: str, options: dict[str, str]) -> T:
        """The object for a number and options. ValueError for values that do not fit."""
        entry = self._entries[name]
        assert entry.make is not None, "a name without a number was refused before"
        meaning = entry.parameter
        value = None
        try:
            value = float(number)
            if MAX_PARAMETER < abs(value) < math.inf:
                meaning += f", at most {MAX_PARAMETER:,} in size"
                raise ValueError(f"{value} is too large for float32 arithmetic")
            made = entry.make(value, **options)
            return made
        except ValueError as error:
            fault = str(error) if options and value is not None else ""
            expected = fault or f"after '{name}:' comes {meaning}"
            raise ValueError(f"{self.kind} {text!r}: {expected}") from error

    def entry(self, name: str) -> Entry[T]:
        """The entry of this name, with its help. ValueError that names the closest otherwise."""
        return pick(self.kind, name, self._entries)

    def markdown(self) -> str:
        """A table of names, parameters and help lines, for the documentation."""
        lines = ["| name | what |", "|---|---|"]
        for name, entry in self._entries.items():
            options = [f"`{key}`: {meaning}" for key, meaning in entry.options.items()]
            lines.append(f"| `{entry.form(name)}` | {'; '.join([entry.help, *options])} |")
        return "\n".join(lines)

    def __getitem__(self, name: str) -> T:
        entry = self._entries[name]
        if entry.value is None:
            raise ValueError(
                f"{self.kind} {name!r}: {name!r} alone is not enough; write {entry.form(name)}"
            )
        return entry.value

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
