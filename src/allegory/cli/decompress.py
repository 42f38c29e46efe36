"""`allegory decompress`: the items of a compressed file."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from .options import optional

_MOST_BYTES = 2**32


@dataclass(frozen=True)
class Decompress:
    """The items of a file that `compress` wrote, as .npy.

    Needs the run that it was made with, the same version of torch and the same kind of processor. A
    file that is damaged, of another model, or of other floating-point results is refused, and
    nothing is written.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    source: Annotated[str, arg(metavar="IN")]
    """The compressed file."""
    out: Annotated[str, arg(metavar="OUT")]
    """.npy file to write."""
    weights: Annotated[str | None, optional("NAME")] = None
    """best, ema or last, as they were for `compress`."""
    batch: int = 100
    """Most items that the network may see at once: that of `compress`, where it was larger."""
    overwrite: bool = False
    """Replace OUT if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Decode and write the items."""
        import numpy as np

        from ..files import read_bytes, write_whole
        from ..lookup import check_count
        from ..progress import progress
        from ..recipes import RunFolder
        from ..recipes.compress import decompress
        from . import tables
        from .files import free_file

        out = free_file(self.out, self.overwrite)
        if out.suffix != ".npy":
            raise ValueError(f"OUT {self.out!r}: give a name that ends in .npy")
        folder = RunFolder.open(Path(self.folder), self.weights)
        source = Path(self.source)
        if not source.is_file():
            raise ValueError(
                f"IN {self.source!r}: no such file; give one that `allegory compress` wrote"
            )
        check_count("--batch", self.batch, 1, sys.maxsize)

        start = time.perf_counter()
        with progress() as on_progress:
            content = read_bytes(source, _MOST_BYTES)
            raw = decompress(folder, content, self.source, on_progress, self.batch)
        file = io.BytesIO()
        np.save(file, raw.numpy())
        write_whole(out, file.getvalue())

        seconds = time.perf_counter() - start
        tables.show(self.json, {"items": len(raw), "seconds": seconds, "file": str(out)})
