"""The order in which training sees the items.

Epoch e visits the items by a permutation drawn from numpy's generator with the key (seed, e). A
position in training is then two integers, the epoch and the number of its items that were seen, and
a resumed run continues with the very batch that the interrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ..lookup import is_whole
from .items import BatchTransform, Items


class Batches(Iterator[tuple[Tensor, Tensor | None]]):
    """An endless iterator of batches (raw items, condition), in an order that depends on the seed.

    No item is dropped: a batch may straddle epochs, or hold several where the data are fewer than
    the batch.

    Args:
        items: what to draw from.
        batch_size: items per batch, over all processes.
        seed: of the order, and of what the transform draws; 0 or more.
        transform: makes the raw items of each batch; None returns them as they are.
        process: (rank, number of processes); this process gets its slice of each batch.

    Raises:
        ValueError: for a batch that cannot be made, or not be shared out evenly.
    """

    def __init__(
        self,
        items: Items,
        batch_size: int,
        seed: int,
        transform: BatchTransform | None = None,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        rank, world = process
        if len(items) == 0:
            raise ValueError("items: none to draw batches from; give at least one")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: give 1 or more")
        if seed < 0:
            raise ValueError(f"seed={seed}: give 0 or more")
        if not 0 <= rank < world:
            raise ValueError(
                f"process={process}: give a rank from 0 to the number of processes - 1"
            )
        if batch_size % world:
            raise ValueError(
                f"batch_size={batch_size}: give a multiple of the {world} processes that share it"
            )

        self.items = items
        self.batch_size = batch_size
        self.seed = seed
        self.transform = transform
        self._slice = slice(rank * batch_size // world, (rank + 1) * batch_size // world)
        self._move_to(epoch=0, position=0)

    def __next__(self) -> tuple[Tensor, Tensor | None]:
        """The raw items of the next batch and what a model is conditioned on: their condition or
        label, None where the data have none.
        """
        key = (self.seed, self._epoch, self._position)
        batch = self.items.take(self._next_index())

        x = batch.x
        if self.transform is not None:
            x = self.transform(x if batch.stored is None else batch.stored, key)

        given = None if batch.given is None else batch.given[self._slice]
        return x[self._slice], given

    def state_dict(self) -> dict[str, int]:
        """Where the next batch begins: the epoch, and how many of its items have been seen."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue from a `state_dict`.

        Raises:
            ValueError: for a state that these data cannot have made.
        """
        epoch, position = state.get("epoch", -1), state.get("position", -1)
        whole = is_whole(epoch) and is_whole(position)
        if not whole or epoch < 0 or not 0 <= position <= len(self.items):
            raise ValueError(
                f"state={dict(state)}: no place in {len(self.items)} items; "
                "resume with the same data"
            )
        self._move_to(epoch, position)

    def _move_to(self, epoch: int, position: int) -> None:
        self._epoch = epoch
        self._position = position
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.items))
        self._order = torch.from_numpy(order)

    def _next_index(self) -> Int64[Tensor, " batch"]:
        pieces = []
        missing = self.batch_size

        while missing:
            if self._position == len(self._order):
                self._move_to(self._epoch + 1, 0)
            piece = self._order[self._position : self._position + missing]
            self._position += len(piece)
            missing -= len(piece)
            pieces.append(piece)

        return torch.cat(pieces)
