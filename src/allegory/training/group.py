"""A group of processes that train together: how they meet, and how they fail together.

`torchrun` and `accelerate launch` start them. On a machine without a GPU they communicate by gloo,
else by NCCL. They must meet within `FORMING_SECONDS`, so that one that died at the start does not
leave the others waiting. Later one may wait long for another that loads or validates.
"""

from __future__ import annotations

import atexit
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from ..launch import process_count
from .errors import FailedElsewhere, TrainingError

T = TypeVar("T")

FORMING_SECONDS = 20.0
"""The longest time in which all processes must have met."""
_WAIT = timedelta(hours=2)
"""The longest time that a process waits for another one, once all have met."""
_SHARED_ERRORS = (ValueError, OSError, TrainingError, ImportError, MemoryError)
"""Errors that end all processes by the message of one; any other is a fault of the program."""


class Group:
    """The processes that were started together; one process alone is a group too.

    Raises:
        TrainingError: if the other processes do not come.
    """

    def __init__(self) -> None:
        self.world = process_count()
        self.rank = int(os.environ["RANK"]) if self.world > 1 else 0
        if self.world > 1 and not distributed.is_initialized():
            _form()

    def first(self, function: Callable[[], T]) -> T | None:
        """Call `function` in the first process, while the others wait for it.

        Returns:
            Its result in the first process, None in the others.

        Raises:
            FailedElsewhere: in the others, if it failed in the first.
        """
        return self.every(function if self.rank == 0 else lambda: None)

    def every(self, function: Callable[[], T]) -> T:
        """Call `function` in every process; where it fails in any of them, all end with that error.

        Returns:
            Its result in this process.

        Raises:
            FailedElsewhere: in all processes but the first of those in which it failed.
        """
        if self.world == 1:
            return function()

        error: Exception | None = None
        try:
            result = function()
        except _SHARED_ERRORS as raised:
            error = raised

        texts: list[str | None] = [None] * self.world
        with self.connected():
            distributed.all_gather_object(texts, None if error is None else str(error))

        failed = next((rank for rank, text in enumerate(texts) if text is not None), None)
        if failed is None:
            return result
        if error is not None and failed == self.rank:
            raise error
        raise FailedElsewhere(f"process {failed}: {texts[failed]}") from error

    def from_first(self, value: T) -> T:
        """The `value` of the first process, in all of them."""
        if self.world == 1:
            return value

        values = [value]
        with self.connected():
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def alike(self, error: ValueError | TrainingError) -> Exception:
        """An error that all processes have found: itself in the first, `FailedElsewhere` else."""
        return error if self.rank == 0 else FailedElsewhere(f"process 0: {error}")

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Inside the block, the end of another process is a TrainingError of one line."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _is_of_connection(error):
                raise
            raise TrainingError(
                "another process has ended, and the run with it: see its message, then start all "
                "of them again; with --resume they go on from the last checkpoint"
            ) from error

    def leave(self) -> None:
        """End the group, after the work is done."""
        _leave()


def _form() -> None:
    """Wait until all processes have met. TrainingError if they do not."""
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        raise TrainingError(
            "RANK and WORLD_SIZE are set, and MASTER_ADDR or MASTER_PORT is not: start several "
            "processes with torchrun, or unset RANK"
        )

    has_gpu = torch.cuda.is_available()
    if has_gpu:
        own = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
        torch.cuda.set_device(own)

    backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
    end = time.monotonic() + FORMING_SECONDS
    try:
        _await_store(end)
        left = timedelta(seconds=max(1.0, end - time.monotonic()))
        distributed.init_process_group(backend, timeout=left)
        distributed.all_reduce(torch.zeros(1))
    except (RuntimeError, OSError) as error:
        raise TrainingError(
            f"not all {process_count()} processes were there within {FORMING_SECONDS:g} s: see "
            "the messages of the others, then start all of them again"
        ) from error
    distributed.distributed_c10d._set_pg_timeout(_WAIT)
    atexit.register(_leave)  # threads of the connection may abort an interpreter that ends


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _await_store(end: float) -> None:
    """Wait until the first process listens, at most to this `end`; torch's own wait is longer."""
    if os.environ["RANK"] == "0":
        return

    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    while True:
        try:
            socket.create_connection(address, timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _is_of_connection(error: RuntimeError) -> bool:
    """Whether the connection with another process was lost."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
