r"""Streams: many items on one stack of bits.

The first item needs bits to decode its latents from, before any item has been encoded: random words
from a seed. An item that has been encoded leaves bits from which the latents of the next can be
decoded, so batches grow: the first is one item, each next as large as the stack allows. Their sizes
are part of the file, because a network's floating-point results depend on the size of its batch.
What the items cost is the net size, final minus initial bits; the gross size is what a file holds.

Decoding goes backwards, from the last batch to the first, and ends with the initial words, which
proves that no bit was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .ans import OutOfBits, Stack, Words
from .bins import Bins, UnfitBins
from .bits_back import CodableModel, CodingContext, TopDownModel, pop_items, push_items
from .tokens import TokenGroups

_OnStep = Callable[[int, int], None]

_MARGIN = 1.2
"""Batches are so many times smaller than the bits of the stack would allow."""
_INITIAL_WORDS = 4
"""Initial words that are tried first; their number doubles until the first item can be encoded."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Items as bits, and what it takes to decode them.

    Args:
        words: the bits.
        sizes: of the batches.
        seed: of the initial words.
        initial: how many initial words there are.
        nats: log q(z | x) - log p(x, z) of each item, by densities: a draw of the negative bound,
            which the length of the code tends to.
    """

    words: Words
    sizes: tuple[int, ...]
    seed: int
    initial: int
    nats: Float[Tensor, " n"]

    @property
    def gross_bits(self) -> int:
        """All bits, with the initial ones."""
        return Stack(self.words).bits

    @property
    def net_bits(self) -> int:
        """The bits that the items cost."""
        return self.gross_bits - Stack(initial_words(self.seed, self.initial)).bits


def initial_words(seed: int, count: int) -> Words:
    """`count` random words from a `seed`; the last is not 0, which would be lost."""
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**32, count, dtype=np.uint32)
    words[-1] |= np.uint32(2**31)
    return words


@dataclass(frozen=True, eq=False)
class BitsBackCode:
    """What encoder and decoder have in common.

    Args:
        model: p and q.
        values: the values of the data in model space.
        bins: those of each latent.

    Raises:
        UnfitBins: for bins of another number of latents.
    """

    model: CodableModel
    values: Float[Tensor, " levels"]
    bins: tuple[Bins, ...]

    def __post_init__(self) -> None:
        """Refuse bins of another number of latents."""
        latents = latent_count(self.model)
        if len(self.bins) != latents:
            raise UnfitBins(f"bins of {len(self.bins)} latents, and the model has {latents}")


def latent_count(model: CodableModel) -> int:
    """How many latents a `model` codes."""
    if isinstance(model, TokenGroups):
        return 0
    return model.levels if isinstance(model, TopDownModel) else len(model.kernels_up)


@torch.no_grad()
def encode(
    code: BitsBackCode,
    index: Int64[Tensor, "n *shape"],
    *,
    batch: int = 100,
    seed: int = 0,
    on_step: _OnStep | None = None,
) -> Encoding:
    """Encode items.

    Args:
        code: the model, and how its latents are coded.
        index: the items, as numbers of their values.
        batch: the largest size of a batch.
        seed: of the initial words, and of the scrambling.
        on_step: called with (items done, items in all) after each batch.

    Raises:
        ValueError: for no items, or a batch below 1.
    """
    if len(index) == 0 or batch < 1:
        raise ValueError(f"{len(index)} items in batches of {batch}; give at least one of each")

    words = _INITIAL_WORDS
    while True:
        encoded = _attempt(code, index, (batch, seed, words), on_step)
        if encoded is not None:
            return encoded
        words *= 2


def _attempt(
    code: BitsBackCode,
    index: Tensor,
    plan: tuple[int, int, int],
    on_step: _OnStep | None,
) -> Encoding | None:
    """All items, from so many initial words; None where one item alone runs out of bits."""
    batch, seed, words = plan
    stack = Stack(initial_words(seed, words))
    sizes: list[int] = []
    nats: list[Tensor] = []
    start = 0
    size = 1
    bits_per_item = 0.0

    while start < len(index):
        trial = stack.copy()
        some = index[start : start + size]
        try:
            context = CodingContext(code.bins, seed, len(sizes))
            cost = push_items(trial, code.model, some, code.values, context)
        except OutOfBits:
            if size == 1:
                return None
            size = max(1, size // 2)
            continue

        bits_per_item = max(bits_per_item, (stack.bits - trial.least + 64) / size)
        stack = trial
        start += size
        sizes.append(size)
        nats.append(cost)
        if on_step is not None:
            on_step(start, len(index))
        affordable = int(stack.bits / (_MARGIN * bits_per_item))
        size = max(1, min(batch, len(index) - start, affordable))

    return Encoding(stack.words, tuple(sizes), seed, words, torch.cat(nats))


@torch.no_grad()
def decode(
    code: BitsBackCode,
    encoding: Encoding,
    shape: Sequence[int],
    *,
    on_step: _OnStep | None = None,
) -> Int64[Tensor, "n *shape"]:
    """Decode the items that `encode` encoded.

    Args:
        code: that of `encode`.
        encoding: what `encode` returned.
        shape: that of an item.
        on_step: called with (items done, items in all) after each batch.

    Raises:
        UnfitBins: for bins of latents of another size.
        ValueError: when the bits do not end with the initial words: the model, or its
            floating-point results, are not those of `encode`.
    """
    parts: list[Tensor] = []
    try:
        stack = Stack(encoding.words)
        for batch, size in reversed(list(enumerate(encoding.sizes))):
            context = CodingContext(code.bins, encoding.seed, batch)
            parts.append(pop_items(stack, code.model, (size, *shape), code.values, context))
            if on_step is not None:
                on_step(sum(map(len, parts)), sum(encoding.sizes))
        intact = np.array_equal(stack.words, initial_words(encoding.seed, encoding.initial))
    except UnfitBins:
        raise
    except (OutOfBits, ValueError):
        intact = False

    if not intact:
        raise ValueError(
            "encoder and decoder computed different Gaussians: the network's results differ from "
            "those of encoding in the last bits; use the same machine, device and torch version as "
            "for encoding"
        )

    return torch.cat(parts[::-1])
