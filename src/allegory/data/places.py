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
    place, mark, options = source.partition("?")
    return f"{os.path.abspath(Path(place).expanduser())}{mark}{options}"
