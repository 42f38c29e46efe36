"""A run as a lossless code: items to the bytes of a file, and back (bits-back coding, see `likelihood.codec`)."""

from __future__ import annotations

import json
import math
import platform
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor, nn

from .. import __version__
from ..data import DataSpec
from ..likelihood.codec import (
    Bins,
    CodableModel,
    Container,
    Encoding,
    choose_bins,
    decode,
    encode,
    fingerprint,
    pack,
    unpack,
)
from ..models.base import CanCode
from ..process.noise import Noise, Stream
from .run_folder import RunFolder
from .serialize import to_json

_UNREADABLE = "its header holds what `allegory compress` never writes; make the file anew"
MEASURED = 16
"""Items on which bins and levels are chosen."""
Nodes = tuple[int, ...]


@dataclass(frozen=True)
class CodingConfig:
    """The choices of an encoder: steps of a diffusion model, largest batch, seed of the first bits, whether to check.

    None of steps is 20 for a diffusion model; others take none.
    """

    steps: int | None = None
    batch: int = 100
    seed: int = 0
    check: bool = True

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: give 0 or more")


@dataclass(frozen=True)
class Compressed:
    """The bytes of a file, and what they cost."""

    content: bytes
    items: int
    dims: int
    gross_bits: int
    net_bits: int
    bound_bits: float
    """-log2 of the densities at the latents that were coded: a draw of the bound, for all items."""
    evaluations: int
    encode_seconds: float
    decode_seconds: float | None

    @property
    def numbers(self) -> int:
        """How many numbers all items have: what bits/dim divides by."""
        return self.items * self.dims


def compress(
    folder: RunFolder, raw: Shaped[Tensor, "n *shape"], coding: CodingConfig
) -> Compressed:
    """Code raw items. ValueError for data unlike the run's, continuous data, or a model that cannot code them."""
    spec = folder.spec
    if spec.levels is None:
        raise ValueError(
            "the run's data are continuous: a density is no code; train on data of finitely many levels"
        )
    spec.check(raw)
    model, index = _coder(folder), spec.index(raw)
    nodes = model.coding_nodes(spec.values[index[:MEASURED]], coding.steps)
    chain = model.coding_chain(nodes)
    start = time.perf_counter()
    bins = _bins(chain, spec, index)
    coded = encode(chain, index, spec.values, bins, batch=coding.batch, seed=coding.seed)
    seconds = time.perf_counter() - start
    content = pack(Container(_header(folder, model, index, nodes, bins, coded), coded.words))
    checked = _check(folder, content, index) if coding.check else None
    bound = coded.nats.sum().item() / math.log(2)
    return Compressed(
        content, len(index), spec.dims, coded.gross_bits, coded.net_bits, bound,
        1 if nodes is None else len(nodes), seconds, checked,
    )  # fmt: skip


def decompress(folder: RunFolder, content: bytes, name: str) -> Shaped[Tensor, "n *shape"]:
    """The raw items of a file. ValueError that says whether it is damaged, of another model, or of another machine."""
    return folder.spec.decode(folder.spec.values[_read(folder, content, name)])


def _coder(folder: RunFolder) -> CanCode:
    """The run's model. ValueError for one that cannot code."""
    model = folder.model()
    if not isinstance(model, CanCode):
        raise ValueError(f"{type(model).__name__}: has no coding chain; this model cannot code")
    return model


def _check(folder: RunFolder, content: bytes, index: Tensor) -> float:
    """Seconds to decode. ValueError where the items do not come back."""
    start = time.perf_counter()
    if not torch.equal(_read(folder, content, "the new file"), index):
        raise ValueError("the new file does not give the items back; nothing was written")
    return time.perf_counter() - start


def _read(folder: RunFolder, content: bytes, name: str) -> Int64[Tensor, "n *shape"]:
    container = unpack(content, name)
    header, spec = container.header, folder.spec
    model = _coder(folder)
    if header.get("model") != _fingerprint(folder, model):
        raise ValueError(
            f"{name}: made by another model than {folder.path}; give the run that it was made with"
        )
    if not _readable(header):
        raise ValueError(f"{name}: {_UNREADABLE}")
    nodes = None if header["nodes"] is None else tuple(header["nodes"])
    try:
        chain = model.coding_chain(nodes)
    except ValueError as error:
        raise ValueError(f"{name}: {_UNREADABLE} ({error})") from None
    bins = tuple(Bins(tuple(exponents)) for exponents in header["bins"])
    coded = Encoding(
        container.words, tuple(header["sizes"]), header["seed"], header["initial"], torch.zeros(0)
    )
    with _threads(header["machine"]["threads"]):
        try:
            index = decode(coded, chain, spec.shape, spec.values, bins)
            intact = _check_sum(index) == header["items"]
        except ValueError:
            intact = False
    if not intact:
        raise ValueError(f"{name}: {_astray(header['machine'], _machine())}")
    return index


def _readable(header: Mapping[str, Any]) -> bool:
    """Whether a header with a right checksum could have been written here: a file may be made to harm."""
    try:
        counts = [
            *header["sizes"],
            header["initial"],
            header["machine"]["threads"],
            header["seed"] + 1,
        ]
        lists = all(
            isinstance(each, list) and each
            for each in (header["sizes"], header["bins"], *header["bins"])
        )
        nodes = header["nodes"] is None or isinstance(header["nodes"], list)
        return (
            lists
            and nodes
            and all(type(count) is int and count > 0 for count in counts)
            and "items" in header
        )
    except (KeyError, TypeError):
        return False


def _astray(wrote: Mapping[str, Any], reads: Mapping[str, Any]) -> str:
    """Why a whole file of the right model does not decode."""
    other = {
        key: value for key, value in wrote.items() if reads.get(key) != value and key != "threads"
    }
    why = ", ".join(
        f"{key} {value} there and {reads.get(key)} here" for key, value in other.items()
    )
    return (
        "the network's results differ from those of encoding in the last bits "
        f"({why or 'the same versions, so another processor'}); decode it where it was made"
    )


@torch.no_grad()
def _bins(chain: CodableModel, spec: DataSpec, index: Tensor) -> tuple[Bins, ...]:
    x0 = spec.values[index[:MEASURED]]
    return choose_bins(
        chain.infer(x0, Noise(range(len(x0)), spec.shape, Stream.BOUND).draw).latents
    )


def _header(
    folder: RunFolder,
    model: CanCode,
    index: Tensor,
    nodes: Nodes | None,
    bins: tuple[Bins, ...],
    coded: Encoding,
) -> dict[str, Any]:
    return {
        "model": _fingerprint(folder, model),
        "data": folder.spec.to_dict(),
        "items": _check_sum(index),
        "sizes": list(coded.sizes),
        "seed": coded.seed,
        "initial": coded.initial,
        "nodes": None if nodes is None else list(nodes),
        "bins": [list(grid.exponents) for grid in bins],
        "machine": _machine(),
    }


def _fingerprint(folder: RunFolder, model: CanCode) -> str:
    choice = {"model": to_json(folder.run.model), "data": folder.spec.to_dict()}
    assert isinstance(model, nn.Module), "a run's model is a module"
    return fingerprint(model, json.dumps(choice, sort_keys=True))


def _check_sum(index: Tensor) -> int:
    return zlib.crc32(index.numpy().tobytes())


def _machine() -> dict[str, Any]:
    """What floating-point results depend on."""
    return {
        "allegory": __version__,
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()),
    }


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
