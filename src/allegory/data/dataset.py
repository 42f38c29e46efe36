"""A data set in memory: what its items are, and three disjoint sets of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .arrays import from_memory
from .batches import Batches
from .items import BatchTransform, Items
from .spec import DataSpec
from .splits import split_by_fractions, together

__all__ = ["Batches", "Dataset", "Items"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test items of one kind.

    Args:
        name: for reports.
        spec: shape, range, levels and classes of the items.
        train: items to learn from.
        validation: items to choose by.
        test: items that figures are computed on.
        transform: makes the raw items of each training batch; None returns them as they are.
        source: the text that `load` reads them from; "" for data in memory.
        notes: what was skipped and why, a sentence each.

    Raises:
        ValueError: for a set that does not agree with the spec.
    """

    name: str
    spec: DataSpec
    train: Items
    validation: Items
    test: Items
    transform: BatchTransform | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every set against the spec, once, here: nothing downstream checks data again."""
        for part in ("train", "validation", "test"):
            items: Items = getattr(self, part)
            try:
                self.spec.check(items.x, items.labels)
            except ValueError as error:
                raise ValueError(f"{self.name}, {part}: {error}") from None

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        labels: Any = None,
        *,
        levels: int | None = None,
        split: tuple[float, float, float] = (0.9, 0.05, 0.05),
        seed: int = 0,
        name: str = "arrays",
    ) -> Dataset:
        """A data set from arrays in memory.

        Args:
            x: numpy array or torch tensor (n, *shape), one item per entry of the first axis. Images
                are (n, channels, height, width); for whole numbers, (n, height, width) and (n,
                height, width, channels) are recognised.
            labels: integers from 0, (n,), one class per item; None for unlabelled data.
            levels: how many equally spaced values a number can take: 0 to levels - 1 for integers,
                from the smallest to the largest number for floats. None means 256 for uint8, 2 for
                bool and continuous for floats.
            split: fractions of training, validation and test items, which sum to 1. Each set has
                one item at least.
            seed: of the permutation that assigns the items to the sets.
            name: for reports.

        Returns:
            The data set, float items as float32.

        Raises:
            ValueError: for arrays that are not numbers of one shape, or integers without `levels`.
        """
        items, spec = from_memory(x, labels, levels)
        return cls(name, spec, *split_by_fractions(items, split, seed))

    @property
    def has_own_test(self) -> bool:
        """Whether the test items are a set of the source, not held out of its training set."""
        return self.test.index is None

    def all_as_test(self) -> Dataset:
        """The same data with all items as test items, in the order of the file or folder.

        Where the source has a test set of its own, the data set as it is. No item is left that is
        no test item, so nothing should be fitted to the training set of the result.
        """
        if self.has_own_test:
            return self
        return replace(self, test=together([self.train, self.validation, self.test]))

    def batches(self, batch_size: int, seed: int, process: tuple[int, int] = (0, 1)) -> Batches:
        """Training batches for ever, in an order that depends on the seed alone.

        Args:
            batch_size: items per batch, over all processes.
            seed: of the order and of the transform.
            process: (rank, number of processes).
        """
        return Batches(self.train, batch_size, seed, self.transform, process)
