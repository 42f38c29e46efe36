"""What a registry holds by name: an object, its help, and the number and options after the name."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


def pick(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Look up `table[name]`.

    Args:
        kind: what the table holds, for the error message, e.g. "solver".
        name: the name to look up.
        table: the objects by name.

    Raises:
        ValueError: for an unknown name; the message names the closest entry.
    """
    if name in table:
        return table[name]

    close = difflib.get_close_matches(str(name), table, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"unknown {kind} {name!r}; {hint}choose from {', '.join(table)}")


def option_number(key: str, text: str, meaning: str) -> float:
    """The number that an option of a name gives as text.

    Args:
        key: the option.
        text: its value.
        meaning: what it is, for the error message.

    Raises:
        ValueError: for what is no finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key}={text}: give {meaning}, a finite number")
    return number


def whole_number(name: str, value: float) -> int:
    """The whole number that follows a name.

    Args:
        name: what it is.
        value: as it was read.

    Raises:
        ValueError: for what is no whole number.
    """
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f"{name}={value:g}: give a whole number")
    return int(value)


def option_whole(key: str, text: str, meaning: str) -> int:
    """The whole number that an option of a name gives as text.

    Args:
        key: the option.
        text: its value.
        meaning: what it is, for the error message.

    Raises:
        ValueError: for what is no whole number.
    """
    return whole_number(key, option_number(key, text, meaning))


def written(name: str, number: float, **options: float | str | None) -> str:
    """The text of a name with a number and options, as `Registry.named` reads it.

    Args:
        name: the registered name.
        number: what follows it.
        options: what follows the number; those that are None are left out.
    """
    parts = [f"{key}={_plain(value)}" for key, value in options.items() if value is not None]
    return ":".join([name, _plain(number), *parts])


def _plain(value: float | str) -> str:
    """A number in as few digits as give it back."""
    if isinstance(value, str):
        return value
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def _joined(given: Sequence[str]) -> list[str]:
    """Options again as they were given, where a value held a colon: "a red: blue", "C:/runs"."""
    options: list[str] = []
    for each in given:
        if options and "=" in options[-1] and "=" not in each:
            options[-1] += f":{each}"
        else:
            options.append(each)
    return options


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered object: the object, its help line, and what a number and options after the
    name make of it.

    Args:
        value: the object that the bare name stands for; None where a number or an option is needed.
        help: one line for help texts and tables.
        make: the object for `name:number:key=value`, as make(number, **options), whose options are
            text; None if no number may follow the name.
        parameter: what that number is, e.g. "eta, a number from 0 to 1".
        options: the keys that may follow the number, and what each is.
    """

    value: T | None
    help: str
    make: Callable[..., T] | None = None
    parameter: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The options that `make` has no default for."""
        if self.make is None or not self.options:
            return ()
        parameters = inspect.signature(self.make).parameters
        return tuple(
            key
            for key in self.options
            if key in parameters and parameters[key].default is inspect.Parameter.empty
        )

    def form(self, name: str) -> str:
        """How it is written with what it needs, such as "cfg[:w]" or "negative:w:condition=...";
        other options may follow.
        """
        if self.make is None:
            return name
        needed = "".join(f":{key}=..." for key in self.required)
        tail = f":{self.parameter.partition(',')[0]}{needed}"
        return f"{name}{tail}" if self.value is None else f"{name}[{tail}]"

    def read_options(self, name: str, given: Sequence[str]) -> dict[str, str]:
        """The options of "key=value" each, as text.

        Args:
            name: the name that they follow.
            given: the texts between the colons.

        Raises:
            ValueError: for an unknown option (the message names the closest), one without a value,
                one that is given twice, and one that is missing.
        """
        options: dict[str, str] = {}
        for each in _joined(given):
            key, equals, value = each.partition("=")
            if not self.options:
                raise ValueError(f"{name!r} has no options; leave {each!r} out")
            meaning = pick(f"option of {name!r}", key, self.options)
            if not equals or not value:
                raise ValueError(f"option {each!r}: give {key}=VALUE, {meaning}")
            if key in options:
                raise ValueError(f"option {key!r}: given twice; give it once")
            options[key] = value

        for key in self.required:
            if key not in options:
                raise ValueError(
                    f"{key} is missing; write {self.form(name)} with {key}, {self.options[key]}"
                )
        return options
