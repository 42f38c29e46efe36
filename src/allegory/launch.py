"""How many processes of this program were started together, by `torchrun` or `accelerate launch`.

Both set the environment variables RANK, the place of this process, and WORLD_SIZE, their number.
"""

from __future__ import annotations

import os


def process_count() -> int:
    """The number of processes that were started together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this process is the first, which alone writes files and messages."""
    return process_count() == 1 or os.environ["RANK"] == "0"
