"""Lossless compression by a run's model: items to the bytes of a file, and back (bits-back coding).

The codec is in `likelihood.codec`; here are the choices of an encoder, the model of a run as its
density, and the checks of a file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ..data import DataSpec
from ..likelihood.codec import (
    MOST_HEADER,
    Bins,
    BitsBackCode,
    CodableModel,
    Container,
    TokenGroups,
    UnfitBins,
    choose_bins,
    decode,
    encode,
    pack,
    unpack,
)
from ..likelihood.codec.ans import Words
from ..likelihood.level_placement import NODES
from ..models.base import CanCode
from ..process.noise import Noise, Stream
from ..progress import OnProgress, silent
from .compressed import MOST_ITEMS, CodingConfig, Compressed
from .compressed_header import (
    Header,
    checksum,
    model_fingerprint,
    this_machine,
    why_results_differ,
)
from .run_folder import RunFolder

_UNREADABLE = "its header holds what `allegory compress` never writes; make the file anew"
_ITEMS_FOR_BINS = 16
_DIGITS = 8
"""Bytes of the header for each number of a latent: the exponent of its bins."""


def compress(
    folder: RunFolder,
    raw: Shaped[Tensor, "n *shape"],
    coding: CodingConfig,
    on_progress: OnProgress = silent,
) -> Compressed:
    """The file that encodes raw items, by bits-back coding with the model of a run.

    Args:
        folder: the run.
        raw: items of the run's data, (n, *shape).
        coding: the choices of the encoder.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The bytes, and their cost.

    Raises:
        ValueError: for other items than the run's, continuous data, or a model that cannot code.
    """
    spec = folder.spec
    index = _indices(raw, spec)
    model = _coder(folder)
    nodes = model.coding_nodes(spec.values[index[:_ITEMS_FOR_BINS]], coding.steps)
    chain = model.coding_chain(nodes)

    start = time.perf_counter()
    bins = _bins(chain, spec, index)
    coded = encode(
        BitsBackCode(chain, spec.values, bins),
        index,
        batch=coding.batch,
        seed=coding.seed,
        on_step=partial(on_progress, "encoding"),
    )
    seconds = time.perf_counter() - start

    header = Header(
        model=model_fingerprint(folder, model),
        data=spec.to_dict(),
        items=checksum(index),
        sizes=tuple(coded.sizes),
        seed=coded.seed,
        initial=coded.initial,
        nodes=nodes,
        bins=tuple(tuple(each.exponents) for each in bins),
        machine=this_machine(),
    )
    content = pack(Container(header.to_dict(), coded.words))
    written = _read(spec, content, "the new file", coding.batch)
    return Compressed(
        content=content,
        items=len(index),
        dims=spec.dims,
        gross_bits=coded.gross_bits,
        net_bits=coded.net_bits,
        bound_bits=coded.nats.sum().item() / math.log(2),
        evaluations=1 if nodes is None else len(nodes),
        encode_seconds=seconds,
        decode_seconds=_check(folder, written, index, on_progress) if coding.check else None,
    )


def decompress(
    folder: RunFolder,
    content: bytes,
    name: str,
    on_progress: OnProgress = silent,
    batch: int = MOST_ITEMS,
) -> Shaped[Tensor, "n *shape"]:
    """The raw items of a file.

    Args:
        folder: the run that it was made with.
        content: the bytes of the file.
        name: of the file, for messages.
        on_progress: called as on_progress(stage, done, total).
        batch: the largest number of items that the network may see at once.

    Raises:
        ValueError: for a file that is damaged, of another model, of another machine, or of larger
            batches.
    """
    header, words = _read(folder.spec, content, name, batch)
    index = _decode(folder, header, words, name, on_progress)
    return folder.spec.decode(folder.spec.values[index])


def _indices(raw: Tensor, spec: DataSpec) -> Int64[Tensor, "n *shape"]:
    """The indices of the levels of raw items. ValueError for continuous or other data."""
    if spec.levels is None:
        raise ValueError(
            "the run's data are continuous: a density is no code; train on data of finitely many "
            "levels"
        )
    spec.check(raw)
    return spec.index(raw)


def _coder(folder: RunFolder) -> CanCode:
    """The run's model. ValueError for one that cannot code."""
    model = folder.model()
    if not isinstance(model, CanCode):
        raise ValueError(
            f"{type(model).__name__}: has no coding chain, it cannot code; give a run of a "
            "diffusion model, a VAE or a hierarchy"
        )
    return model


def _check(
    folder: RunFolder, written: tuple[Header, Words], index: Tensor, on_progress: OnProgress
) -> float:
    """The seconds to decode. ValueError for items other than those encoded."""
    start = time.perf_counter()
    if not torch.equal(_decode(folder, *written, "the new file", on_progress), index):
        raise ValueError(
            "the new file does not give the items back, as the network's results differ from run"
            " to run; nothing was written, try again with a smaller batch or OMP_NUM_THREADS=1"
        )
    return time.perf_counter() - start


def _read(spec: DataSpec, content: bytes, name: str, batch: int) -> tuple[Header, Words]:
    """Header and bits of a file, after what can be said without the model. ValueError otherwise."""
    container = unpack(content, name, MOST_HEADER + _DIGITS * NODES * spec.dims)
    try:
        header = Header.from_dict(container.header)
    except ValueError as error:
        raise ValueError(f"{name}: {_UNREADABLE} ({error})") from None

    try:
        header.check(len(container.words), batch)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return header, container.words


def _decode(
    folder: RunFolder, header: Header, words: Words, name: str, on_progress: OnProgress
) -> Int64[Tensor, "n *shape"]:
    """The indices of the levels."""
    model = _coder(folder)
    if header.model != model_fingerprint(folder, model):
        raise ValueError(
            f"{name}: made by another model than {folder.path}, or by other of its weights; give "
            "the run and the weights (best, ema, last) that it was made with"
        )

    try:
        chain = model.coding_chain(header.nodes)
        code = BitsBackCode(chain, folder.spec.values, header.codec_bins)
        index = _intact(header, code, words, folder.spec, on_progress)
    except ValueError as error:
        raise ValueError(f"{name}: {_UNREADABLE} ({error})") from None

    if index is None:
        raise ValueError(f"{name}: {why_results_differ(header.machine, this_machine())}")
    return index


def _intact(
    header: Header, code: BitsBackCode, words: Words, spec: DataSpec, on_progress: OnProgress
) -> Tensor | None:
    """The decoded indices, None where they are not those that were encoded.

    UnfitBins as in `decode`.
    """
    coded = header.encoding(words)
    on_step = partial(on_progress, "decoding")
    # Other bits than `encode` wrote may decode to numbers that overflow.
    with _threads(header.machine["threads"]), np.errstate(all="ignore"):
        try:
            index = decode(code, coded, spec.shape, on_step=on_step)
        except UnfitBins:
            raise
        except ValueError:
            return None

    return index if checksum(index) == header.items else None


@torch.no_grad()
def _bins(chain: CodableModel, spec: DataSpec, index: Tensor) -> tuple[Bins, ...]:
    """The bins chosen by the latents of the first items."""
    if isinstance(chain, TokenGroups):
        return ()
    x0 = spec.values[index[:_ITEMS_FOR_BINS]]
    noise = Noise(range(len(x0)), spec.shape, Stream.BOUND)
    return choose_bins(chain.infer(x0, noise.draw).latents)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Inside the block, torch has `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
