"""A command in several processes: only `train` runs in them, and the first one alone prints."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..training.group import Group

_SECONDS = 1.0
"""How long a process stays after the failure of another one: a launcher ends all processes as soon
as the first of them has ended, and the other may not have printed its message yet."""


def run_together(words: Sequence[str]) -> None:
    """Parse and run a command of the command line in each of several processes.

    Args:
        words: the arguments.

    Raises:
        ValueError: for a command other than `train`, and what the command raises.
        SystemExit: in all processes but the one that has the message.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # read when torch is imported
    from ..training import FailedElsewhere
    from ..training.group import Group

    group = Group()
    try:
        with _only_first_prints(group):
            _train(words, group)
    except FailedElsewhere:
        time.sleep(_SECONDS)
        raise SystemExit(2) from None
    group.leave()


@contextmanager
def _only_first_prints(group: Group) -> Iterator[None]:
    if group.rank == 0:
        yield
        return

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _train(words: Sequence[str], group: Group) -> None:
    from .parse import Command, parse
    from .train import Train, Training

    def parsed() -> Command:
        command = parse(words)
        if not isinstance(command, Train | Training):
            raise ValueError(
                f"{words[0]}: runs in one process, {group.world} were started; leave out the "
                "launcher, or give train"
            )
        return command

    group.every(parsed).run()
