"""The parser of the command line (by tyro), with errors of one line."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Annotated, Any, Protocol, TypeVar, Union, runtime_checkable

import tyro
from tyro.conf import (
    AvoidSubcommands,
    FlagCreatePairsOff,
    OmitSubcommandPrefixes,
    PositionalRequiredArgs,
    subcommand,
)

from .. import __version__
from ..lookup import pick
from .calibrate import Calibrate
from .compress import Compress
from .decompress import Decompress
from .demo import Demo
from .distill import Distill
from .edit import Edit
from .evaluate import Evaluate
from .fit import Fit
from .help_text import with_paragraphs
from .imports import take_imports
from .impute import Impute
from .info import Info
from .recipes import Recipes
from .sample import Sample
from .train import Train, prepare
from .tune import Tune
from .verify import Verify

COMMANDS: dict[str, type[Command]] = {
    "demo": Demo,
    "train": Train,
    "fit": Fit,
    "sample": Sample,
    "impute": Impute,
    "evaluate": Evaluate,
    "edit": Edit,
    "info": Info,
    "recipes": Recipes,
    "tune": Tune,
    "distill": Distill,
    "calibrate": Calibrate,
    "compress": Compress,
    "decompress": Decompress,
    "verify": Verify,
}

_DESCRIPTION = (
    f"Diffusion models from one set of equations. Version {__version__}.\n\n"
    "Options may be written with - or _ between their words. "
    "--import MODULE, with any command: first run a module or a .py file that registers solvers, "
    "guides, networks, recipes, ... from outside the package."
)
_PROGRAM = "allegory"
_HELP = ("-h", "--help")
_WIDE = "10000"

T = TypeVar("T")


@runtime_checkable
class Command(Protocol):
    """The options of a command, and its `run()`.

    A class with `epilog()` prints more below its help.
    """

    def run(self) -> None: ...


def parse(arguments: Sequence[str]) -> Command:
    """The command of these `arguments`.

    Raises:
        ValueError: in one line, for arguments that do not fit.
        SystemExit: after `--help` has been printed.
    """
    arguments = take_imports(arguments)
    if not arguments or arguments[0].startswith("-"):
        every = tuple(
            Annotated[kind, subcommand(name, description=(kind.__doc__ or "").partition("\n")[0])]
            for name, kind in COMMANDS.items()
        )
        command: Any = Union[every]  # noqa: UP007
        chosen: Command = read_options(command, arguments, _PROGRAM, _DESCRIPTION)
        return chosen

    name, *rest = arguments
    kind = pick("command", name, COMMANDS)
    if kind is Train:
        return _parse_train(rest)
    return read_options(kind, rest, f"{_PROGRAM} {name}")


def _parse_train(arguments: Sequence[str]) -> Command:
    """The command `train`, parsed twice: first the recipe, then the fields of that recipe."""
    program = f"{_PROGRAM} train"
    named = bool(arguments) and not arguments[0].startswith("-")
    if not named and any(word in _HELP for word in arguments):
        return read_options(Train, arguments, program)

    words = [word for word in arguments if word not in _HELP]
    known, _ = read_known(Train, words, program)
    prepared = prepare(known, only_help=len(words) < len(arguments))
    full: Train = read_options(prepared.options_type(), arguments, program, prepared.description)
    return prepared.completed(full)


def read_options(
    kind: type[T] | Any, words: Sequence[str], program: str, text: str | None = None
) -> T:
    """The options of a dataclass from words of the command line.

    Args:
        kind: the dataclass.
        words: the arguments.
        program: name of the program in the help.
        text: description in the help; None: the docstring of the dataclass.

    Returns:
        An instance of `kind`.

    Raises:
        ValueError: in one line, for words that do not fit.
        SystemExit: after `--help` has been printed.
    """
    found: T = _tyro(kind, words, program, text, return_unknown_args=False)
    return found


def read_known(kind: type[T], words: Sequence[str], program: str) -> tuple[T, list[str]]:
    """The options of a dataclass, and the words that are not fields of it.

    Args:
        kind: the dataclass.
        words: the arguments.
        program: name of the program in the help.

    Returns:
        An instance of `kind`, and the other words.

    Raises:
        ValueError: in one line, for a value that does not fit.
    """
    found: tuple[T, list[str]] = _tyro(kind, words, program, None, return_unknown_args=True)
    return found


def _tyro(
    kind: Any, words: Sequence[str], program: str, text: str | None, return_unknown_args: bool
) -> Any:
    of_subcommands = OmitSubcommandPrefixes if program == _PROGRAM else AvoidSubcommands
    config = (of_subcommands, FlagCreatePairsOff, PositionalRequiredArgs)
    if program != _PROGRAM and any(word in _HELP for word in words):
        kind = with_paragraphs(kind)

    cli: Any = tyro.cli  # its overloads do not cover a Union, nor a flag that is no literal

    def run() -> Any:
        return cli(
            kind,
            prog=program,
            description=text,
            args=list(words),
            config=config,
            use_underscores=True,
            return_unknown_args=return_unknown_args,
        )

    complaint = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stderr(complaint):
            warnings.simplefilter("ignore")
            return run()
    except SystemExit as stop:
        if stop.code in (0, None):
            getattr(kind, "epilog", lambda: None)()
            raise

    with _wide_terminal(), warnings.catch_warnings(), redirect_stderr(io.StringIO()) as complaint:
        warnings.simplefilter("ignore")
        with suppress(SystemExit):
            run()
    raise ValueError(_one_line(complaint.getvalue(), program))


@contextmanager
def _wide_terminal() -> Iterator[None]:
    """Inside the block, the terminal is so wide that no line of an error is wrapped."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDE
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _one_line(box: str, program: str) -> str:
    """The first sentence of tyro's boxed error, in plain words where it is about types."""
    lines = [re.sub(r"^[|│]\s*|\s*[|│]$", "", line).strip() for line in box.splitlines()[1:]]
    lines = [line for line in lines if line.strip("╰╯─+- ")]
    said = lines[0].rstrip(".") if lines else "these words make no sense"

    if said.startswith("Missing from"):
        missing = [line.split()[0] for line in lines[1:] if re.match(r"(--)?[A-Z]+$", line)]
        said = f"give {' and '.join(missing)}"

    unknown = re.match(r"Unrecognized options: ([^\s,=]+)", said)
    if unknown:
        closest = next((line for line in lines if line.startswith("--")), "")
        hint = f"; did you mean {closest.split()[0]}?" if closest else ""
        said = f"unknown option {unknown.group(1)}{hint}"

    wrong = re.match(r"Error parsing (--\S+): .*?'([^']*)'\]?\W*$", said)
    if wrong:
        option, value = wrong.groups()
        said = f"{option} {value}: give {_expected(option, lines)}"
    else:
        said = re.sub(r"^Error parsing (\S+): ", r"\1: ", said)
    return f"{said}; see {program} --help"


def _expected(option: str, lines: Sequence[str]) -> str:
    """The kind of value that an option takes, from the help that tyro prints below an error."""
    usage = next((line for line in lines if line.startswith(option + " ")), "")
    several = "[" in usage or len(usage.split()) > 2
    if "INT" in usage:
        return "whole numbers" if several else "a whole number"
    if "FLOAT" in usage:
        return "numbers" if several else "a number"
    return usage.removeprefix(option).strip() or "another value"
