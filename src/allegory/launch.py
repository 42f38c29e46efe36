"""How many processes of this program were started together, by `torchrun` or `accelerate launch`.

Both set the environment variables RANK, the place of this process, and WORLD_SIZE, their number.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_NUMBER = re.compile(r"--num[_-]processes[= ](\d+)")


def process_count() -> int:
    """The number of processes that were started together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this process is the first, which alone writes files and messages."""
    return process_count() == 1 or os.environ["RANK"] == "0"


def missing_processes() -> str:
    """What is to be said where `accelerate launch` was to start several and has started one.

    It does so with --cpu, and on a machine with one GPU or none. Known on Linux only.
    """
    if "ACCELERATE_MIXED_PRECISION" not in os.environ or process_count() > 1:
        return ""

    words = ""
    with suppress(OSError):
        command = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
        words = command.replace(b"\0", b" ").decode(errors="replace")

    found = _NUMBER.search(words)
    wanted = 1 if found is None else int(found[1])
    if wanted < 2:
        return ""
    return (
        f"accelerate launch was given --num_processes {wanted} and has started one process: stop "
        f"it, and give --multi_gpu instead of --cpu, or use torchrun --nproc_per_node {wanted}"
    )
