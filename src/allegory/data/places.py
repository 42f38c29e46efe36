"""Where data are: paths that hold from any working folder."""

from __future__ import annotations

import os
from pathlib import Path


class MissingData(ValueError):
    """A file or folder of data that is not there."""


def absolute(source: str) -> str:
    """A path with options, such as "folder?size=32", as an absolute path with the same options.

    Links are kept: a file that a link leads to may have a name without the suffix of its kind.
    """
    place, mark, options = parted(source)
    return f"{os.path.abspath(Path(place).expanduser())}{mark}{options}"


def with_absolute_options(source: str) -> str:
    """A source whose option `encoder`, a folder, and `unit`, a .json file, are absolute paths."""
    place, mark, options = parted(source)
    parts = []

    for part in options.split("&"):
        name, _, value = part.partition("=")
        is_folder = name == "encoder" and os.path.isdir(value)
        is_file = name == "unit" and value.endswith(".json") and os.path.isfile(value)
        parts.append(f"{name}={os.path.abspath(value)}" if is_folder or is_file else part)

    return f"{place}{mark}{'&'.join(parts)}"


def parted(source: str) -> tuple[str, str, str]:
    """A place, the mark before its options and the options, as `str.partition` gives them.

    The options follow the first question mark. Where one belongs to the name of a file or folder
    that is there, they follow the first one after that name, the longest that is there.
    """
    marks = [index for index, character in enumerate(source) if character == "?"]
    for end in [*marks[1:], len(source)][::-1] if marks else []:
        if os.path.exists(os.path.expanduser(source[:end])):
            return source[:end], source[end : end + 1], source[end + 1 :]
    return source.partition("?")


def with_option(source: str, name: str, value: str) -> str:
    """The source with this option, unless it has one of that name.

    Args:
        source: a place with or without options.
        name: of the option.
        value: its value.
    """
    _, mark, options = parted(source)
    if any(option.partition("=")[0] == name for option in options.split("&")):
        return source
    return f"{source}{'&' if mark else '?'}{name}={value}"
