"""The command line.

`parse.py` turns arguments into commands; large packages are imported when a command runs.

Exit status: 0; 1 where `verify` finds an equation that fails; 2 for an error of the user, which is
one line on standard error with the value and the remedy; 130 after Ctrl-C and 143 after SIGTERM,
in training with a checkpoint written first; 141, without a word, where the reader of the output
has gone.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

from ..launch import is_first, process_count
from ..lookup import Note, printable

_CLOSED_PIPE = 141
_LETTERS = "allegory-letters"
"""The error handler of an output that cannot show a sign: é becomes e, and others "?"."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `allegory`; `arguments` of None are those of the command line."""
    try:
        _guarded(arguments)
    except SystemExit as end:
        if process_count() > 1:
            _leave_group(end)
        raise
    if process_count() > 1:
        _leave_group(SystemExit(0))


def _guarded(arguments: Sequence[str] | None) -> None:
    """Run a command; an error of the user is one line and SystemExit."""
    _show_any_text()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", Note)
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "interrupted", 128 + int(getattr(stop, "number", 2)))
    except BrokenPipeError:
        _leave_closed_pipe()
    except (ValueError, RuntimeError, OSError, ImportError, MemoryError) as error:
        _fail(_plain(error), 2)


def _run(arguments: Sequence[str]) -> None:
    try:
        if process_count() > 1:
            from .together import run_together

            run_together(arguments)
        else:
            from .parse import parse

            parse(arguments).run()
    finally:
        # A reader that has gone, as in `allegory verify | head -1`, is noticed here at the latest.
        if sys.stdout is not None:
            sys.stdout.flush()


def _show_any_text() -> None:
    """Standard output and error show what they can of any text, whatever the locale."""
    codecs.register_error(_LETTERS, _letters)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_LETTERS)


def _letters(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: their plain letters, or "?"."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return plain or "?" * len(text), error.end


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Print a warning: a note on data in one line, all others as Python does."""
    if not issubclass(category, Note):
        file, line = place[:2]
        print(warnings.formatwarning(message, category, file, line), end="", file=sys.stderr)
    elif is_first():
        print(printable(message), file=sys.stderr, flush=True)


def _leave_group(end: SystemExit) -> None:
    """Exit at once: the threads of the connection may abort a process while the interpreter ends,
    after its work as well as where another process has gone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _leave_closed_pipe() -> None:
    """Exit without a word, with the status of a program that a closed pipe has ended."""
    # The interpreter flushes standard output once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(_CLOSED_PIPE)


def _plain(error: Exception) -> str:
    """The line of an error that the user can correct; any other is raised, with its traceback."""
    if isinstance(error, ImportError):
        return _missing(error)
    if isinstance(error, OSError):
        return _refused(error)
    if isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY):
        return "not enough memory; take a smaller batch, a smaller model, or fewer or smaller items"

    from ..training import TrainingError

    if isinstance(error, RuntimeError) and not isinstance(error, TrainingError):
        raise error
    return " ".join(str(error).split())


def _missing(error: ImportError) -> str:
    """The line of a package that is not installed; an error in this package is raised."""
    name = error.name or ""
    if name.partition(".")[0] == __name__.partition(".")[0]:
        raise error
    if isinstance(error, ModuleNotFoundError):
        return f"{name.partition('.')[0]} is not installed; pip install 'allegory[all]'"
    return " ".join(str(error).split())


def _refused(error: OSError) -> str:
    """The line of a file or folder that the system refuses."""
    remedy = "check the path and the disk"
    if error.errno in _FULL:
        remedy = "make room, or choose another folder"
    elif error.errno in _REFUSED:
        remedy = "choose one that you may read and write"
    return f"{error.filename or 'disk'}: {error.strerror or error}; {remedy}"


def _fail(message: str, status: int) -> None:
    interrupted = status != 2
    if is_first() or not interrupted:  # one signal interrupts all processes
        print(f"allegory: {printable(message)}", file=sys.stderr)
    raise SystemExit(status)
