"""How much memory data may take, so that what does not fit is refused before it is read."""

from __future__ import annotations

import os
from pathlib import Path

_CONTAINER = Path("/sys/fs/cgroup")


def check_memory(size: int, what: str, remedy: str) -> None:
    """Refuse data that take more than half of the memory that is free: they are copied once.

    Args:
        size: of the data in bytes.
        what: the data, e.g. "12 images of 3x512x512".
        remedy: how to make them smaller.

    Raises:
        ValueError: with the sizes and the remedy.
    """
    free = free_memory()
    if free is not None and size > free / 2:
        raise ValueError(
            f"{what} take {gigabytes(size)}, more than half of the {gigabytes(free)} of memory "
            f"that are free; {remedy}"
        )


def free_memory() -> int | None:
    """The memory that is free, in bytes; None where it is not known."""
    found = [number for number in (_of_the_machine(), _of_the_container()) if number is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass

    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_the_container() -> int | None:
    """What the limit of a control group leaves; None where there is none."""
    try:
        most = int((_CONTAINER / "memory.max").read_text())
        return max(0, most - int((_CONTAINER / "memory.current").read_text()))
    except (OSError, ValueError):
        return None


def gigabytes(size: int) -> str:
    """A size in the unit of people; the digits of a size that no float holds are counted."""
    if size >= 10**18:
        return f"about 10^{len(str(size)) - 1} bytes"
    return f"{size / 1e9:,.3g} GB" if size >= 10**8 else f"{size / 1e6:,.3g} MB"
