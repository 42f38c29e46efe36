"""`allegory decompress`: the items of a compressed file."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from .options import optional

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from torch import Tensor

    from ..data import DataSpec

_MOST_BYTES = 2**32


@dataclass(frozen=True)
class Decompress:
    """The items of a file that `compress` wrote, as .npy; text as .txt and categories as .csv too.

    Needs the run that it was made with, the same version of torch and the same kind of processor. A
    file that is damaged, of another model, or of other floating-point results is refused, and
    nothing is written.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder."""
    source: Annotated[str, arg(metavar="IN")]
    """The compressed file."""
    out: Annotated[str, arg(metavar="OUT")]
    """File to write: .npy, which of text has the numbers of its tokens; .txt for text, whose
    windows are joined and whose lines are lines; .csv for a table of categories.
    """
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
        from ..files import read_bytes, write_whole
        from ..lookup import check_count
        from ..progress import progress
        from ..recipes import RunFolder
        from ..recipes.compress import decompress
        from . import tables
        from .files import free_file

        out = free_file(self.out, self.overwrite)
        folder = RunFolder.open(Path(self.folder), self.weights)
        kinds = kinds_of_items(folder.spec)
        if out.suffix not in kinds:
            raise ValueError(f"OUT {self.out!r}: give a name that ends in {' or '.join(kinds)}")
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
        write_whole(out, content_of(raw, folder.spec, out.suffix))

        seconds = time.perf_counter() - start
        tables.show(self.json, {"items": len(raw), "seconds": seconds, "file": str(out)})


def kinds_of_items(spec: DataSpec) -> tuple[str, ...]:
    """What the name of the file may end in: .npy, and what the vocabulary of the items adds.

    Args:
        spec: what the items are.
    """
    from ..data.vocabularies import Categories, TextVocabulary

    if isinstance(spec.vocabulary, TextVocabulary):
        return (".npy", ".txt")
    return (".npy", ".csv") if isinstance(spec.vocabulary, Categories) else (".npy",)


def content_of(raw: Shaped[Tensor, "n *shape"], spec: DataSpec, suffix: str) -> bytes:
    """The bytes of the file that holds items.

    Args:
        raw: the items.
        spec: what they are.
        suffix: of the file, one of `kinds_of_items`.
    """
    import numpy as np

    from ..data import Items
    from ..data.text_output import csv_of_items, joined_text

    if suffix == ".txt":
        return joined_text(Items(raw), spec)
    if suffix == ".csv":
        return csv_of_items(Items(raw), spec).encode()
    file = io.BytesIO()
    np.save(file, raw.numpy())
    return file.getvalue()
