"""A data set in memory: what its items are, and three disjoint sets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..conditions.classes import class_index, class_names, untrained
from ..lookup import printable
from . import fingerprint as content
from .arrays import Declared, narrowed, raw_items, spec_of
from .batches import Batches
from .condition_values import ConditionValues, with_conditions
from .conversion import ConvertedTransform, conversion
from .items import BatchTransform, Items
from .spec import DataSpec
from .splits import split_by_fractions, together
from .tables import column_names
from .vocabularies import Vocabulary

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
        conditions: the values of the conditions of each set of the source, by its name, which other
            kinds of condition are made of.

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
    conditions: Mapping[str, ConditionValues | None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check every set against the spec, once, here: nothing downstream checks data again."""
        for part in ("train", "validation", "test"):
            items: Items = getattr(self, part)
            try:
                self.spec.check(items.x, items.labels)
                self.spec.check_condition(items.condition, len(items))
            except ValueError as error:
                raise ValueError(f"{printable(self.name)}, {part}: {error}") from None

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        labels: Any = None,
        *,
        condition: Any = None,
        condition_kind: Any = None,
        levels: int | None = None,
        bounds: tuple[Any, Any] | None = None,
        columns: Sequence[str] | None = None,
        vocabulary: Vocabulary | None = None,
        split: tuple[float, float, float] = (0.9, 0.05, 0.05),
        seed: int = 0,
        name: str = "arrays",
    ) -> Dataset:
        """A data set from arrays in memory, or from a table with named columns.

        Continuous numbers are scaled by the mean and standard deviation of the training items, each
        number of an item by its own, pictures (n, channels, height, width) and videos (n, time,
        channels, height, width) by one of all.

        Args:
            x: numpy array or torch tensor (n, *shape), one item per entry of the first axis, or a
                data frame. Images are (n, channels, height, width); for levels, (n, height, width)
                and (n, height, width, channels) are recognised. Series are (n, time, channels),
                videos (n, time, channels, height, width).
            labels: the class of each item, (n,): whole numbers, text or booleans, or the name of a
                column of the data frame; None for unlabelled data.
            condition: what a model is conditioned on instead of its class: numbers (n, k), NaN
                where one is missing; truth values (n, k), or sets of names, of labels that apply;
                text (n,); pictures (n, channels, height, width) or (n, height, width); or a mapping
                from names to several of these, where whole numbers (n,) are classes. Names of
                columns of the data frame leave the items. None for the class.
            condition_kind: the kind of the condition (`Numbers`, `Labels`, `Picture((1, 7, 7),
                noise=0.5)`, ...); of a mapping, those of some of its parts by name. None takes it
                from the values.
            levels: how many equally spaced values a number can take: 0 to levels - 1 for whole
                numbers, from the smallest to the largest number for floats. None means 256 for
                uint8, 2 for bool and continuous for all others.
            bounds: the lowest and the highest number that are possible, by law, each one for all
                numbers of an item or one for each; None where there is no such law.
            columns: names of the numbers of an item of one axis; a data frame has them.
            vocabulary: what whole numbers (n, length) stand for, such as `Bytes()`; a data frame
                whose columns are all text or booleans has `Categories`.
            split: fractions of training, validation and test items, which sum to 1. Each set has
                one item at least.
            seed: of the permutation that assigns the items to the sets.
            name: for reports.

        Returns:
            The data set; continuous items as float32, or float64 where that keeps more digits.

        Raises:
            ValueError: for arrays that are not numbers of one shape, numbers that are not finite or
                never vary, labels that are no classes, and conditions of no kind.
        """
        declared = Declared(levels, bounds, column_names(columns), condition_kind, vocabulary)
        raw = raw_items(x, labels, declared, condition)

        names = None if raw.labels is None else class_names(raw.labels)
        index = None if names is None else class_index(raw.labels, names, len(names))
        sets = split_by_fractions(Items(raw.x, index).numbered(), split, seed)
        values = dict.fromkeys(("train", "validation", "test"), raw.condition)
        sets, kind = with_conditions(sets, values)
        spec = replace(spec_of(sets, raw.declared, names), condition=kind)
        train, validation, test = (narrowed(items, spec) for items in sets)
        notes = (*raw.notes, *untrained(train.labels, spec.class_names, spec.classes))
        if spec.vocabulary is not None:
            notes = (*notes, *spec.vocabulary.untrained(train.x, spec.columns))
        return cls(name, spec, train, validation, test, notes=notes, conditions=values)

    @property
    def sets(self) -> tuple[Items, Items, Items]:
        """Training, validation and test items."""
        return self.train, self.validation, self.test

    @cached_property
    def fingerprint(self) -> str:
        """The number of items, and a hash of their content: the same wherever the data lie."""
        return content.fingerprint(self.sets)

    def as_spec(self, spec: DataSpec) -> Dataset:
        """The same items under the description that a run learned.

        Columns are put into its order by their names, labels become its indices by the values of
        the classes, conditions its rows by their values, and the range is its range. Tokens become
        those of its vocabulary that stand for the same.

        Args:
            spec: of the run.

        Raises:
            ValueError: for items of another shape, columns, levels, classes or conditions, and
                numbers outside of a range that is a law.
        """
        if spec == self.spec:
            return self
        convert, notes = conversion(self.spec, spec, self.sets)
        sets, left_out = self._conditions_as(spec)
        train, validation, test = map(convert, sets)
        transform = self.transform
        if transform is not None and self.spec.vocabulary != spec.vocabulary:
            transform = ConvertedTransform(transform, convert)

        return replace(
            self,
            spec=spec,
            transform=transform,
            train=train,
            validation=validation,
            test=test,
            notes=(*self.notes, *notes, *left_out),
        )

    def _conditions_as(self, spec: DataSpec) -> tuple[tuple[Items, Items, Items], tuple[str, ...]]:
        """The sets with the conditions of another spec, and notes on what is left out."""
        own, wanted = self.spec.condition, spec.condition
        if own == wanted:
            return self.sets, ()
        if own is not None and wanted is not None and wanted.has_rows_of(own):
            return self.sets, ()
        if own is None:
            return self.sets, ("the data have no condition, so figures given it are left out",)
        if wanted is None:
            train, validation, test = (replace(items, condition=None) for items in self.sets)
            return (train, validation, test), ("the run learned no condition, so it is left out",)

        try:
            if self.conditions is None:
                raise ValueError("give data of the same kind")
            return with_conditions(self.sets, self.conditions, wanted)[0], ()
        except ValueError as error:
            raise ValueError(f"condition: {own}, and the run learned {wanted} ({error})") from None

    @property
    def has_own_test(self) -> bool:
        """Whether the test items are a set of the source, not held out of its training set."""
        return self.test.held_out_of is None

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
