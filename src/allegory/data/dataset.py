"""Data in memory, and the order in which training sees them.

The order is a function of (seed, epoch) alone: epoch e visits the items by a permutation drawn from a
generator that is seeded by the pair. A position in training is then two whole numbers, and a resumed run goes
on with the very batch that the interrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

from .binarize import redraw
from .spec import DataSpec


@dataclass(frozen=True, eq=False)
class Items:
    """Raw items, uint8 or float32, and their labels if they have any.

    `intensity`: of items that are binarized anew in each batch, 255 times the probability of a 1 (`binarize.py`).
    """

    x: Shaped[Tensor, "n *shape"]
    labels: Int64[Tensor, " n"] | None = None
    intensity: UInt8[Tensor, "n *shape"] | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.x)

    def take(self, index: Int64[Tensor, " m"]) -> Items:
        """The items at these places, in this order."""
        labels = None if self.labels is None else self.labels[index]
        return Items(
            self.x[index], labels, None if self.intensity is None else self.intensity[index]
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A name, what the arrays are, and three disjoint sets of them. ValueError for a set unlike the spec."""

    name: str
    spec: DataSpec
    train: Items
    validation: Items
    test: Items

    def __post_init__(self) -> None:
        """Check every set against the spec, once, here: nothing downstream checks data again."""
        for part in ("train", "validation", "test"):
            arrays: Items = getattr(self, part)
            try:
                self.spec.check(arrays.x, arrays.labels)
            except ValueError as error:
                raise ValueError(f"{self.name}, {part}: {error}") from None


class Batches(Iterator[tuple[Tensor, Tensor | None]]):
    """Batches of raw items and labels for ever, in an order that depends on `seed` alone.

    No item is dropped: a batch may straddle epochs, or hold several where the data are fewer than the batch.
    Of the global batch of `batch_size`, the process `rank` of `world` sees its slice.
    """

    def __init__(
        self, arrays: Items, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        """ValueError for a batch that cannot be made or shared out evenly."""
        if len(arrays) == 0:
            raise ValueError("arrays: no items to draw batches from; give at least one")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: give 1 or more")
        if seed < 0:
            raise ValueError(f"seed={seed}: give 0 or more")
        if not 0 <= rank < world:
            raise ValueError(f"rank={rank}, world={world}: give a rank from 0 to world - 1")
        if batch_size % world:
            raise ValueError(
                f"batch_size={batch_size}: give a multiple of the {world} processes that share it"
            )
        self.arrays, self.batch_size, self.seed = arrays, batch_size, seed
        self.rank, self.world = rank, world
        self._move_to(epoch=0, position=0)

    def __next__(self) -> tuple[Tensor, Tensor | None]:
        """The raw items and labels of the next batch; labels are None where the data have none."""
        share, begins = self.batch_size // self.world, (self._epoch, self._position)
        mine = slice(self.rank * share, (self.rank + 1) * share)
        batch = self.arrays.take(self._next_index())
        x = batch.x if batch.intensity is None else redraw(batch.intensity, self.seed, *begins)
        return x[mine], None if batch.labels is None else batch.labels[mine]

    def state_dict(self) -> dict[str, int]:
        """Where the next batch begins: the epoch, and how many of its items have been seen."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there. ValueError for a state that these data cannot have made."""
        epoch, position = state.get("epoch", -1), state.get("position", -1)
        if epoch < 0 or not 0 <= position <= len(self.arrays):
            raise ValueError(
                f"state={dict(state)}: no place in {len(self.arrays)} items; resume with the same data"
            )
        self._move_to(epoch, position)

    def _move_to(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._order = torch.from_numpy(
            np.random.default_rng((self.seed, epoch)).permutation(len(self.arrays))
        )

    def _next_index(self) -> Int64[Tensor, " batch"]:
        pieces, missing = [], self.batch_size
        while missing:
            if self._position == len(self._order):
                self._move_to(self._epoch + 1, 0)
            piece = self._order[self._position : self._position + missing]
            self._position += len(piece)
            missing -= len(piece)
            pieces.append(piece)
        return torch.cat(pieces)
