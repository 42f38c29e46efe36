"""The command line.

Text becomes objects in `arguments.py`, once; everything heavy is imported when a command runs.

A mistake is one line on standard error that names the value and the remedy, and exit status 2.
Ctrl-C in training writes a checkpoint first and exits with 130.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `allegory` command."""
    try:
        from .parse import parse

        parse(sys.argv[1:] if arguments is None else arguments).run()
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "interrupted", 130)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        _fail(_plain(error), 2)


def _plain(error: Exception) -> str:
    """One line for an error a user can mend; anything unforeseen keeps its traceback."""
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
