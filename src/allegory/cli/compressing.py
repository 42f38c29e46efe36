"""`allegory compress` and `allegory decompress`: files in, files out, and what the code costs."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Shaped
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ..data import DataSpec, load
from ..data.npy import read_arrays
from ..evaluation.reference_codecs import other_codecs
from ..lookup import pick
from ..recipes import RunFolder
from ..recipes.compress import CodingConfig, Compressed, compress, decompress
from ..recipes.run_folder import write_whole
from . import tables

if TYPE_CHECKING:
    from .arguments import Compress, Decompress

PARTS = ("train", "validation", "test")
ARRAYS = (".npy", ".npz")


def run_compress(options: Compress) -> None:
    """`allegory compress`."""
    out = _free(options.out, options.overwrite)
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit {options.limit}: give at least 1")
    folder = RunFolder.open(Path(options.folder))
    raw = _items(options.source, options.part, folder.spec)[: options.limit]
    coding = CodingConfig(options.steps, options.batch, options.seed, not options.no_check)
    done = compress(folder, raw, coding)
    write_whole(out, done.content)
    others = (
        other_codecs(folder.spec.index(raw).to(torch.uint8))
        if (folder.spec.levels or 0) <= 256
        else {}
    )
    _show(options.json, figures(done, folder.spec, out), others, done.numbers)


def run_decompress(options: Decompress) -> None:
    """`allegory decompress`."""
    out = _free(options.out, options.overwrite)
    if out.suffix != ".npy":
        raise ValueError(f"OUT {options.out!r}: give a name that ends in .npy")
    folder, source = RunFolder.open(Path(options.folder)), Path(options.source)
    if not source.is_file():
        raise ValueError(
            f"IN {options.source!r}: no such file; give one that `allegory compress` wrote"
        )
    start = time.perf_counter()
    raw = decompress(folder, source.read_bytes(), options.source)
    file = io.BytesIO()
    np.save(file, raw.numpy())
    write_whole(out, file.getvalue())
    seconds = time.perf_counter() - start
    tables.show(options.json, {"items": len(raw), "seconds": seconds, "file": str(out)})


def figures(done: Compressed, spec: DataSpec, out: Path) -> dict[str, float | int | str | None]:
    """What the code costs, by name and unit; raw is each number in as many whole bits as its levels need."""
    raw = done.numbers * ((spec.levels or 1) - 1).bit_length()
    net, bound = done.net_bits / done.numbers, done.bound_bits / done.numbers
    return {
        "items": done.items,
        "raw bytes": -(-raw // 8),
        "file bytes": len(done.content),
        "gross bytes": -(-done.gross_bits // 8),
        "net bytes": -(-done.net_bits // 8),
        "net bits/dim": net,
        "bound, this draw, bits/dim": bound,
        "net over bound, %": 100 * (net / bound - 1),
        "evaluations an item": done.evaluations,
        "seconds an item to encode": done.encode_seconds / done.items,
        "seconds an item to decode": None
        if done.decode_seconds is None
        else done.decode_seconds / done.items,
        "file": str(out),
    }


def _show(
    as_json: bool, own: dict[str, float | int | str | None], others: dict[str, int], numbers: int
) -> None:
    if as_json:
        print(json.dumps(own | {"others, bytes": others}, indent=2))
        return
    tables.show(False, {name: value for name, value in own.items() if value is not None})
    table = Table(title="the same items by other codes", title_justify="left")
    for column in ("code", "bytes", "bits/dim"):
        table.add_column(column, justify="left" if column == "code" else "right")
    rows = {
        "allegory, net": int(own["net bytes"] or 0),
        "allegory, the file": int(own["file bytes"] or 0),
    } | others
    for name, size in sorted(rows.items(), key=lambda row: row[1]):
        table.add_row(name, f"{size:,}", f"{8 * size / numbers:.3f}")
    Console().print(table)


def _free(name: str, overwrite: bool) -> Path:
    """The file to write. ValueError, before anything is computed, where it cannot be."""
    out = Path(name)
    if out.exists() and (out.is_dir() or not overwrite):
        raise ValueError(f"OUT {name!r}: exists already; give --overwrite or another file")
    if not out.parent.is_dir():
        raise ValueError(f"OUT {name!r}: no such folder; make it, or give another file")
    return out


def _items(source: str, part: str, spec: DataSpec) -> Shaped[Tensor, "n *shape"]:
    """All items of an array file, or one set of any other source. ValueError where they are not what the run learned."""
    if Path(source).suffix in ARRAYS:
        if not Path(source).is_file():
            raise ValueError(f"IN {source!r}: no such file; check the path")
        return _array(source, spec)
    pick("--part", part, dict.fromkeys(PARTS))
    dataset = load(source)
    mine, theirs = ((d.shape, d.low, d.high, d.levels) for d in (spec, dataset.spec))
    if mine != theirs:
        raise ValueError(
            f"IN {source!r}: {dataset.spec} is not what the run learned, {spec}; give data of that kind"
        )
    raw: Tensor = getattr(dataset, part).x
    return raw


def _array(source: str, spec: DataSpec) -> Shaped[Tensor, "n *shape"]:
    arrays = read_arrays(Path(source))
    if "x" not in arrays:
        raise ValueError(
            f"IN {source!r}: arrays {', '.join(sorted(arrays))}; name the one to compress x"
        )
    array = np.ascontiguousarray(arrays["x"]).astype(
        arrays["x"].dtype.newbyteorder("="), copy=False
    )
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise ValueError(f"IN {source!r}: dtype {array.dtype}; save whole numbers or floats")
    raw = torch.from_numpy(
        array if array.dtype.kind == "f" or array.dtype == np.uint8 else array.astype(np.int64)
    )
    if spec.shape[0] == 1 and tuple(raw.shape[1:]) == spec.shape[1:]:
        raw = raw[:, None]
    try:
        spec.check(raw)
    except ValueError as error:
        raise ValueError(f"IN {source!r}: {error}") from None
    return raw
