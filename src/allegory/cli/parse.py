"""Words to a command: the options of `arguments.py`, read by tyro, and its complaints in one line."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Annotated, Union

import tyro
from tyro.conf import FlagCreatePairsOff, OmitSubcommandPrefixes, PositionalRequiredArgs, subcommand

from .. import __version__
from ..lookup import pick
from .arguments import Compress, Decompress, Demo, Evaluate, Sample, Train, Tune, Verify

COMMANDS = ("demo", "train", "sample", "evaluate", "tune", "compress", "decompress", "verify")
Command = Union[Demo, Train, Sample, Evaluate, Tune, Compress, Decompress, Verify]  # noqa: UP007 - as below


def parse(arguments: Sequence[str]) -> Command:
    """The command that the words ask for. ValueError of one line for words that make no sense."""
    command = Union[  # noqa: UP007 - tyro reads the annotations of a Union
        Annotated[Demo, subcommand("demo")],
        Annotated[Train, subcommand("train")],
        Annotated[Sample, subcommand("sample")],
        Annotated[Evaluate, subcommand("evaluate")],
        Annotated[Tune, subcommand("tune")],
        Annotated[Compress, subcommand("compress")],
        Annotated[Decompress, subcommand("decompress")],
        Annotated[Verify, subcommand("verify")],
    ]
    if arguments and not arguments[0].startswith("-"):
        pick("command", arguments[0], dict.fromkeys(COMMANDS))
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            chosen: Command = tyro.cli(
                command,
                prog="allegory",
                description=f"Diffusion models from one set of equations. Version {__version__}.",
                args=list(arguments),
                config=(OmitSubcommandPrefixes, FlagCreatePairsOff, PositionalRequiredArgs),
            )
    except SystemExit as stop:
        if stop.code not in (0, None):
            raise ValueError(_one_line(complaint.getvalue())) from None
        raise
    return chosen


def _one_line(box: str) -> str:
    """The first sentence of tyro's boxed complaint, in plain words where it speaks of types."""
    inside = [
        line for line in box.splitlines()[1:] if not re.fullmatch(r" *-+ *", line)
    ]  # a rule, where text is ASCII
    lines = [line.strip("│╭╮╰╯─ ").strip() for line in inside]
    said = " ".join(lines[: lines.index("")] if "" in lines else lines).rstrip(".")
    wrong = re.match(
        r"Error parsing (\S+): no type matching (\S+) could be instantiated from \['(.*)'\]", said
    )
    if wrong:
        option, kind, value = wrong.groups()
        said = f"{option} {value}: give {'a whole number' if 'INT' in kind else 'a number'}"
    return f"{said}; see allegory --help"
