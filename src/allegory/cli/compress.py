"""`allegory compress`: items to a file, and what the code costs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from .options import optional

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from torch import Tensor

    from ..data import DataSpec
    from ..recipes.compressed import Compressed

_PARTS = ("train", "validation", "test")
_ARRAYS = (".npy", ".npz")
_INSTEAD = "compress the file itself, e.g. as .parquet, which keeps its columns apart"


@dataclass(frozen=True)
class Compress:
    """Code items without loss into a file, with a run as the model (bits-back coding).

    Decoding needs the very same floating-point results: the same run, the same version of torch and
    the same kind of processor. The number of threads and the batch sizes are recorded and set
    again; the processor computes, not a GPU. The file is decoded once before it is written, and a
    decoder that gets other results says so. Labels and other conditions are not coded, and hidden
    from the model: items are coded by p(x).

    Raw bytes are those of each number in as many whole bits as its levels need. Net bytes are what
    the items cost, close to the bound. Gross bytes include the bits that the stream begins with,
    which decoding gives back, and file bytes the header too: of few items most of the file.
    """

    folder: Annotated[str, arg(metavar="RUN")]
    """Run folder: a diffusion model, a VAE or a hierarchy of data with levels."""
    source: Annotated[str, arg(metavar="IN")]
    """Items: .npy or .npz (all of them), or a source such as digits, a folder, .parquet, .txt (one
    set, see --part), with the options of the training data, such as 'book.txt?items=lines'.
    """
    out: Annotated[str, arg(metavar="OUT")]
    """File to write."""
    part: str = "test"
    """train, validation or test, of a source that has sets."""
    limit: Annotated[int | None, optional("INT")] = None
    """The first so many items only."""
    steps: Annotated[int | None, optional("INT")] = None
    """At most so many steps of a diffusion model (20 by default), one evaluation per item each;
    more save bits.
    """
    weights: Annotated[str | None, optional("NAME")] = None
    """best, ema or last, as in `sample`; decompress needs the same."""
    batch: int = 100
    """Most items that the network sees at once."""
    seed: int = 0
    """Seed of the bits that the stream begins with."""
    no_check: bool = False
    """Do not decode after encoding."""
    overwrite: bool = False
    """Replace OUT if it exists."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Encode, write the file, and print what it costs."""
        import torch

        from ..evaluation.reference_codecs import other_codecs
        from ..files import write_whole
        from ..lookup import check_count
        from ..models.base import refuse_rows
        from ..progress import progress
        from ..recipes import RunFolder
        from ..recipes.compress import compress
        from ..recipes.compressed import CodingConfig
        from .files import free_file

        out = free_file(self.out, self.overwrite)
        if self.limit is not None:
            check_count("--limit", self.limit, 1, sys.maxsize)
        coding = CodingConfig(self.steps, self.batch, self.seed, not self.no_check)

        folder = RunFolder.open(Path(self.folder), self.weights)
        spec = folder.spec
        refuse_rows(spec, "compress", _INSTEAD)
        with progress() as on_progress:
            on_progress("loading data", 0, 1)
            raw = _items(self.source, self.part, spec)[: self.limit]
        with progress() as on_progress:
            done = compress(folder, raw, coding, on_progress)
        write_whole(out, done.content)

        few_levels = (spec.levels or 0) <= 256
        try:
            others = other_codecs(spec.index(raw).to(torch.uint8)) if few_levels else {}
        except KeyboardInterrupt:
            written = f"{out} is written and whole; only the comparison with other codes is missing"
            raise KeyboardInterrupt(written) from None
        _show(self.json, figures(done, spec, out), others, done.numbers)


def figures(done: Compressed, spec: DataSpec, out: Path) -> dict[str, float | int | str | None]:
    """What the code costs, by name and unit.

    Args:
        done: the encoded items.
        spec: what the items are; "raw bytes" are those of each number in as many whole bits as its
            levels need.
        out: the file.

    Returns:
        The figures; None for the time to decode where nothing was decoded, and for the excess over
        a bound of 0 bits.
    """
    raw_bits = done.numbers * ((spec.levels or 1) - 1).bit_length()
    net = done.net_bits / done.numbers
    bound = done.bound_bits / done.numbers
    decode = None if done.decode_seconds is None else done.decode_seconds / done.items

    return {
        "items": done.items,
        "raw bytes": -(-raw_bits // 8),
        "file bytes": len(done.content),
        "gross bytes": -(-done.gross_bits // 8),
        "net bytes": -(-done.net_bits // 8),
        "net bits/dim": net,
        "bound, this draw, bits/dim": bound,
        "net over bound, %": 100 * (net / bound - 1) if bound > 0 else None,
        "evaluations per item": done.evaluations,
        "seconds per item to encode": done.encode_seconds / done.items,
        "seconds per item to decode": decode,
        "file": str(out),
    }


def _show(
    as_json: bool, own: dict[str, float | int | str | None], others: dict[str, int], numbers: int
) -> None:
    from rich.table import Table

    from . import tables

    if as_json:
        print(json.dumps(own | {"others, bytes": others}, indent=2))
        return
    tables.show(False, {name: value for name, value in own.items() if value is not None})

    table = Table(title="the same items by other codes", title_justify="left")
    for column in ("code", "bytes", "bits/dim"):
        table.add_column(column, justify="left" if column == "code" else "right")
    net, whole = int(own["net bytes"] or 0), int(own["file bytes"] or 0)
    rows = {"allegory, net": net, "allegory, the file": whole} | others
    for name, size in sorted(rows.items(), key=lambda row: row[1]):
        table.add_row(name, f"{size:,}", f"{8 * size / numbers:.3f}")
    tables.console().print(table)


def _items(source: str, part: str, spec: DataSpec) -> Shaped[Tensor, "n *shape"]:
    """All items of an array file, or one set of any other source.

    ValueError for items unlike those that the run was trained on.
    """
    from ..data import load
    from ..lookup import pick

    if Path(source).suffix in _ARRAYS:
        if not Path(source).is_file():
            raise ValueError(f"IN {source!r}: no such file; check the path")
        return _array(source, spec)

    pick("--part", part, dict.fromkeys(_PARTS))
    dataset = load(source)
    if spec.vocabulary is not None:
        dataset = dataset.as_spec(spec)
    mine, theirs = ((d.shape, d.low, d.high, d.levels) for d in (spec, dataset.spec))
    if mine != theirs:
        raise ValueError(
            f"IN {source!r}: {dataset.spec} is not what the run was trained on, {spec}; "
            "give data of that kind"
        )
    raw: Tensor = getattr(dataset, part).x
    return raw


def _array(source: str, spec: DataSpec) -> Shaped[Tensor, "n *shape"]:
    import numpy as np
    import torch

    from ..data.array_files import read_arrays

    arrays = read_arrays(Path(source))
    if "x" not in arrays:
        names = ", ".join(sorted(arrays))
        raise ValueError(f"IN {source!r}: arrays {names}; name the one to compress x")
    native = arrays["x"].dtype.newbyteorder("=")
    array = np.ascontiguousarray(arrays["x"]).astype(native, copy=False)
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise ValueError(f"IN {source!r}: dtype {array.dtype}; save whole numbers or floats")

    if array.dtype.kind != "f" and array.dtype != np.uint8:
        array = array.astype(np.int64)
    raw = torch.from_numpy(array)
    if spec.shape[0] == 1 and tuple(raw.shape[1:]) == spec.shape[1:]:
        raw = raw[:, None]
    try:
        spec.check(raw)
    except ValueError as error:
        raise ValueError(f"IN {source!r}: {error}") from None
    return raw
