"""The command line.

`parse.py` turns arguments into commands; large packages are imported when a command runs.

An error of the user is one line on standard error with the value and the remedy, and exit status 2.
Ctrl-C in training writes a checkpoint first and exits with 130.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `allegory`; `arguments` of None are those of the command line."""
    try:
        from .parse import parse

        parse(sys.argv[1:] if arguments is None else arguments).run()
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "interrupted", 130)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        _fail(_plain(error), 2)


def _plain(error: Exception) -> str:
    """The line of an error that the user can correct; any other is raised, with its traceback."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install 'allegory[all]'"
    if isinstance(error, OSError):
        reason = f"{error.filename or 'disk'}: {error.strerror or error}"
        return f"{reason}; make room, or choose a folder that can be written"

    from ..training import TrainingError

    if isinstance(error, RuntimeError) and not isinstance(error, TrainingError):
        raise error
    return " ".join(str(error).split())


def _fail(message: str, status: int) -> None:
    print(f"allegory: {message}", file=sys.stderr)
    raise SystemExit(status)
