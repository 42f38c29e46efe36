r"""Streams: many items on one stack, the bits of one lending to the next.

The first item needs bits to pop its latents from, before any item has paid: random words from a
seed. An item that has been coded leaves its own bits, from which the next can borrow, so batches
grow: the first is one item, each next as large as the stack can afford. Their sizes are part of the
file, because a network's floating-point results depend on the size of its batch. What the items
cost is the net size, final minus initial bits; the gross size is what a file must hold.

Reading goes backwards, from the last batch to the first, and ends with the initial words: a proof
that no bit went astray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .ans import OutOfBits, Stack, Words
from .bins import Bins
from .bits_back import CodingContext, Model, pop_items, push_items

SPARE = 1.2
FIRST = 4


@dataclass(frozen=True, eq=False)
class Encoding:
    """Items as bits, and what it takes to read them."""

    words: Words
    sizes: tuple[int, ...]
    seed: int
    initial: int  # words
    nats: Float[Tensor, " n"]
    """log q(z | x) - log p(x, z) of each item, by densities: a draw of the bound that the code is
    to reach.
    """

    @property
    def gross_bits(self) -> int:
        """What the words take."""
        return Stack(self.words).bits

    @property
    def net_bits(self) -> int:
        """What the items cost."""
        return self.gross_bits - Stack(initial_words(self.seed, self.initial)).bits


def initial_words(seed: int, count: int) -> Words:
    """Random words; the last is not 0, which would be lost."""
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**32, count, dtype=np.uint32)
    words[-1] |= np.uint32(2**31)
    return words


@torch.no_grad()
def encode(
    model: Model,
    index: Int64[Tensor, "n *shape"],
    values: Float[Tensor, " levels"],
    bins: tuple[Bins, ...],
    *,
    batch: int = 100,
    seed: int = 0,
) -> Encoding:
    """Code items, given as numbers of their levels, in batches of at most `batch`. ValueError for
    none, or batch < 1.
    """
    if len(index) == 0 or batch < 1:
        raise ValueError(f"{len(index)} items in batches of {batch}; give at least one of each")
    words = FIRST
    while (coded := _attempt(model, index, values, bins, (batch, seed, words))) is None:
        words *= 2
    return coded


def _attempt(
    model: Model, index: Tensor, values: Tensor, bins: tuple[Bins, ...], plan: tuple[int, int, int]
) -> Encoding | None:
    """All items, from so many initial words; None where one alone finds the stack dry."""
    batch, seed, words = plan
    stack, start, sizes, nats = Stack(initial_words(seed, words)), 0, list[int](), list[Tensor]()
    size, need = 1, 0.0
    while start < len(index):
        trial = stack.copy()
        try:
            cost = push_items(
                trial,
                model,
                index[start : start + size],
                values,
                CodingContext(bins, seed, len(sizes)),
            )
        except OutOfBits:
            if size == 1:
                return None
            size = max(1, size // 2)
            continue
        need = max(need, (stack.bits - trial.least + 64) / size)
        stack, start = trial, start + size
        sizes.append(size)
        nats.append(cost)
        size = max(1, min(batch, len(index) - start, int(stack.bits / (SPARE * need))))
    return Encoding(stack.words, tuple(sizes), seed, words, torch.cat(nats))


@torch.no_grad()
def decode(
    coded: Encoding,
    model: Model,
    shape: Sequence[int],
    values: Float[Tensor, " levels"],
    bins: tuple[Bins, ...],
) -> Int64[Tensor, "n *shape"]:
    """The items of shape `shape` that `encode` was given.

    ValueError when the bits do not end where they began: the model, or the floating-point results,
        are not those of
    `encode`.
    """
    stack, parts = Stack(coded.words), list[Tensor]()
    try:
        for batch, size in reversed(list(enumerate(coded.sizes))):
            parts.append(
                pop_items(
                    stack, model, (size, *shape), values, CodingContext(bins, coded.seed, batch)
                )
            )
        intact = np.array_equal(stack.words, initial_words(coded.seed, coded.initial))
    except (OutOfBits, ValueError):
        intact = False
    if not intact:
        raise ValueError(
            "decoding went astray: the network's results are not those of encoding, to the last bit"
        )
    return torch.cat(parts[::-1])
