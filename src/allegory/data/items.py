"""Items in memory, and the transform that makes training batches of them anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Items:
    """Raw items with their labels.

    Args:
        x: the items in the units of the data, (n, *shape): levels as uint8, int16 or int32, others
            as float32 or float64.
        labels: the class of each item, (n,), integers from 0; None for unlabelled data.
        stored: what the `BatchTransform` of the data set makes x from, one entry per item;
            None means x itself.
        index: where each item stands in the file or folder that it was taken from, (n,), from 0;
            None means in the order of x.
        held_out_of: the set of the source that these items and others were divided from, such as
            "train"; None where they are a set of the source themselves.
        condition: what a model is conditioned on, as rows (n, *row) of the kind that the
            `DataSpec` has; None means the label.
    """

    x: Shaped[Tensor, "n *shape"]
    labels: Int64[Tensor, " n"] | None = None
    stored: Shaped[Tensor, "n *stored"] | None = None
    index: Int64[Tensor, " n"] | None = None
    held_out_of: str | None = None
    condition: Shaped[Tensor, "n *row"] | None = None

    @property
    def given(self) -> Tensor | None:
        """What a model is conditioned on: the condition, else the label, else nothing."""
        return self.labels if self.condition is None else self.condition

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.x)

    def __repr__(self) -> str:
        """Number, shape and type of the items."""
        labelled = "" if self.labels is None else ", labelled"
        kind = str(self.x.dtype).removeprefix("torch.")
        return f"Items({len(self)} of shape {tuple(self.x.shape[1:])}, {kind}{labelled})"

    def take(self, index: Int64[Tensor, " m"]) -> Items:
        """The items at the places of the index, in its order."""
        labels = None if self.labels is None else self.labels[index]
        stored = None if self.stored is None else self.stored[index]
        places = None if self.index is None else self.index[index]
        condition = None if self.condition is None else self.condition[index]
        return Items(self.x[index], labels, stored, places, self.held_out_of, condition)

    def numbered(self) -> Items:
        """The same items with their index, whatever is taken from them later."""
        return self if self.index is not None else replace(self, index=torch.arange(len(self)))


@runtime_checkable
class BatchTransform(Protocol):
    """A random map of a training batch: augmentation, dynamic binarization.

    It has to be a function of its arguments alone, so that a resumed run sees the batches that the
    interrupted one would have seen.
    """

    def __call__(
        self, stored: Shaped[Tensor, "b *stored"], seed: tuple[int, int, int]
    ) -> Shaped[Tensor, "b *shape"]:
        """The raw items of a batch.

        Args:
            stored: `Items.stored` of the batch, or `Items.x` where that is None.
            seed: (seed of the run, epoch, position in the epoch) where the batch begins, e.g. for
                `numpy.random.default_rng`.
        """
        ...
