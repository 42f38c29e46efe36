"""The conditions of items, from values as the data have them: their kind, and their rows.

    numbers (n, k), or (n,) floats       Numbers, with the ranges of the training items
    truth values (n, k), sets of names   Tags
    text (n,)                            Text
    pictures (n, h, w) or (n, c, h, w)   Picture
    frames (n, time, c, h, w)            Picture
    a mapping from names to these        Combined; whole numbers, truth values (n,) are classes

A missing number is NaN. Another kind is taken where it is declared, for example `Labels` for text
of few values. Vocabularies and ranges are those of the training items.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from ..conditions import Combined, Condition
from ..lookup import Note, pick
from .condition_kinds import Columns, Part, check_names, complete_kind, part_of, with_dropout
from .items import Items

_ONE = ""
"""The name of the only part of a condition that is not combined."""
_SETS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class ConditionValues:
    """The values of the conditions of items.

    Args:
        parts: by name; one part without a name where they are not combined.
    """

    parts: Mapping[str, Part]

    @property
    def is_combined(self) -> bool:
        """Whether there are several conditions with names."""
        return _ONE not in self.parts

    def kind(self, train: Int64[Tensor, " m"]) -> Condition:
        """The kind of condition of a model of these data.

        Args:
            train: which of the items are training items.

        Raises:
            ValueError: for values that no kind can be made of.
        """
        index = train.numpy()
        if not self.is_combined:
            return complete_kind(self.parts[_ONE], index)

        kinds = []
        for name, part in self.parts.items():
            try:
                kind = complete_kind(part, index)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            declared = isinstance(part.kind, Condition)
            kinds.append(kind if declared else with_dropout(kind))
        return Combined(tuple(self.parts), tuple(kinds))

    def rows(self, kind: Condition, of_run: bool = False) -> Shaped[Tensor, "n *row"]:
        """The rows of all items.

        Args:
            kind: that of the data set, or of the run that they are for.
            of_run: whether it is that of a run, which may not have learned all values: a `Note`
                says which.

        Raises:
            ValueError: for values that the kind does not have.
        """
        values = {name: part.named() for name, part in self.parts.items()}
        check_names(values, kind)
        with warnings.catch_warnings():
            if not of_run:  # held-out items may lie outside of the range of the training items
                warnings.simplefilter("ignore", Note)
            rows = kind.encode(values if self.is_combined else values[_ONE])

        count = len(next(iter(self.parts.values())))
        rows = rows[None] if rows.ndim == len(kind.row_shape) and count == 1 else rows
        kind.check(rows, count)
        return rows


def condition_values(
    condition: Any, count: int, kind: Any = None, shape: tuple[int, ...] = ()
) -> ConditionValues:
    """The values of conditions as a user gives them.

    Args:
        condition: an array, a list, or a mapping from names to them, of `count` items.
        count: the number of items.
        kind: declared, a kind or its class; of a mapping, those of some of its parts by name.
        shape: of an item, where it is known (`part_of`).

    Raises:
        ValueError: for another number of items, and for values that are of no kind.
    """
    if isinstance(condition, Columns):
        condition = _of_columns(condition, kind)
    if not isinstance(condition, Mapping):
        if isinstance(kind, Mapping):
            raise ValueError("condition_kind: a mapping, and condition is none; give one kind")
        return ConditionValues({_ONE: part_of(condition, count, kind, True, shape)})

    kinds = {} if kind is None else kind
    if not isinstance(kinds, Mapping):
        raise ValueError("condition_kind: give a mapping from names of parts to their kinds")
    for name in kinds:
        pick("part of the condition", name, condition)
    parts = {}
    for name, values in condition.items():
        try:
            parts[str(name)] = part_of(values, count, kinds.get(name), False, shape)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    if len(parts) == 1:
        raise ValueError("condition: a mapping of one part; give its values alone")
    return ConditionValues(parts)


def _of_columns(columns: Columns, kind: Any) -> Any:
    """Columns of a table: all numbers as one condition, else each column as a part."""
    found = columns.values
    odd = [name for name, column in found.items() if column.dtype.kind not in "biufUSO"]
    if odd:
        raise ValueError(f"column {odd[0]!r}: {found[odd[0]].dtype}; give numbers or text")

    are_numbers = {name: column.dtype.kind in "biuf" for name, column in found.items()}
    if all(are_numbers.values()) and not isinstance(kind, Mapping):
        return columns
    if len(found) == 1:
        return next(iter(found.values()))
    return {
        name: Columns({name: column}) if are_numbers[name] else column
        for name, column in found.items()
    }


def with_conditions(
    sets: Sequence[Items],
    values: Mapping[str, ConditionValues | None],
    kind: Condition | None = None,
) -> tuple[tuple[Items, Items, Items], Condition | None]:
    """The sets with the rows of their conditions, and the kind of these.

    Args:
        sets: training, validation and test items, with their index in the set of the source.
        values: the conditions of each set of the source, by its name.
        kind: that of a run; None for the one that the training items make.

    Raises:
        ValueError: where one set has conditions and another has none, or others.
    """
    if all(each is None for each in values.values()):
        train, validation, test = sets
        return (train, validation, test), None
    found = {name: each for name, each in values.items() if each is not None}
    if len(found) < len(values):
        raise ValueError("condition: one set has it and another has not; give it to all or none")

    of_run = kind is not None
    if kind is None:
        index = sets[0].index
        kind = found["train"].kind(torch.arange(len(sets[0])) if index is None else index)
    rows: dict[str, Tensor] = {}
    for name, each in found.items():
        try:
            same = [rows[other] for other in rows if found[other] is each]
            rows[name] = same[0] if same else each.rows(kind, of_run)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    train, validation, test = (
        _with_rows(items, rows[items.held_out_of or name])
        for name, items in zip(_SETS, sets, strict=True)
    )
    return (train, validation, test), kind


def _with_rows(items: Items, rows: Tensor) -> Items:
    return replace(items, condition=rows if items.index is None else rows[items.index])
