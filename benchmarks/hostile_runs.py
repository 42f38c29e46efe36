"""Commands in forked children, for `benchmarks.hostile`: what they say, take and leave behind."""

from __future__ import annotations

import importlib
import os
import re
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MORE_SECONDS = 2.0
"""So much longer than a good file a damaged one may take."""
MORE_BYTES = 500 * 10**6
"""So much more memory."""

HANGS = 20.0
"""Seconds of the clock after which a command that sleeps is stopped."""
_SLEEPS = 5
_ADDRESS_SPACE = 8 * 2**30
_NO_REMARK = re.compile(r"Traceback|Warning:|Error:|^\s+File \"|libgomp|Fatal")
_ESCAPES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        status: its exit status; the negative number of the signal that ended it.
        out: what it wrote to standard output.
        err: what it wrote to standard error.
        seconds: wall-clock time.
        processor_seconds: time of the processor.
        peak: largest resident memory in bytes.
        hangs: whether it had to be stopped.
    """

    status: int
    out: str
    err: str
    seconds: float
    processor_seconds: float
    peak: int
    hangs: bool


def run(
    arguments: Sequence[str], folder: Path, *, modules: Path | None = None, hangs: float = HANGS
) -> Outcome:
    """Run an `allegory` command in a child of this process.

    Args:
        arguments: of the command line.
        folder: where the child works, and its output is kept.
        modules: a file into which the child writes the names of its modules, or None.
        hangs: seconds after which it is stopped.
    """
    files = [folder / "stdout", folder / "stderr"]
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        _be_child(arguments, folder, files, modules)

    stopped = not _ends(child, hangs)
    if stopped:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)

    out, err = (file.read_text(errors="backslashreplace") for file in files)
    return Outcome(
        os.waitstatus_to_exitcode(status),
        out,
        err,
        time.perf_counter() - start,
        usage.ru_utime + usage.ru_stime,
        1024 * usage.ru_maxrss,
        stopped,
    )


def _ends(child: int, hangs: float) -> bool:
    """Whether a child ends, waiting for as long as it has something to do.

    Args:
        child: its process.
        hangs: seconds after which it is looked at; one that sleeps hangs. One that still runs after
            ten times as long does too.
    """
    ended = os.pidfd_open(child)
    try:
        if select.select([ended], [], [], hangs)[0]:
            return True
        sleeps = 0
        for _ in range(round(9 * hangs)):
            if select.select([ended], [], [], 1.0)[0]:
                return True
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            sleeps = sleeps + 1 if state == "S" else 0
            if sleeps == _SLEEPS:
                return False
        return False
    finally:
        os.close(ended)


def _be_child(
    arguments: Sequence[str], folder: Path, files: Sequence[Path], modules: Path | None
) -> None:
    """Run the command, and end the process."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(files, start=1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        os.chdir(folder)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _ADDRESS_SPACE,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = _status(arguments)
        if modules is not None:
            modules.write_text("\n".join(list(sys.modules)))
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(status)


def _status(arguments: Sequence[str]) -> int:
    from allegory.cli import main

    try:
        main(list(arguments))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def import_all(names: Sequence[str]) -> None:
    """Import what the children will need, so that no child has to."""
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)


def faults(found: Outcome, good: Outcome) -> list[str]:
    """What is wrong with the end of a command that met a damaged file.

    Args:
        found: how it ended.
        good: how the same command ends with the good file.
    """
    wrong = []
    lines = found.err.splitlines()
    if found.hangs:
        wrong.append("hangs")
    elif found.status < 0:
        wrong.append(f"signal {-found.status}")
    elif found.status not in (0, 2):
        wrong.append(f"status {found.status}")

    if "Traceback (most recent call last)" in found.err:
        wrong.append("traceback")
    elif any(_NO_REMARK.search(line) for line in lines if not line.startswith("allegory: ")):
        wrong.append("line that is no remark")
    errors = [line for line in lines if line.startswith("allegory: ")]
    if found.status == 2 and (len(errors) != 1 or lines[-1] != errors[0]):
        wrong.append(f"{len(errors)} lines of error")
    if found.status == 2 and errors and len(errors[0]) > 1000:
        wrong.append("a line of more than 1,000 characters")
    if _ESCAPES.search(found.out + found.err):
        wrong.append("control characters")

    more = found.processor_seconds - good.processor_seconds
    if more > MORE_SECONDS:
        wrong.append(f"{more:.1f} s more")
    if found.peak > good.peak + MORE_BYTES:
        wrong.append(f"{(found.peak - good.peak) / 1e6:.0f} MB more")
    return wrong
