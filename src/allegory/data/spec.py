"""What the raw items are, and the affine map between them and the model.

A model sees x in units of its own; the data are v. The map takes low to -1 and high to 1,

    x = (v - centre) / half        v = centre + half x
    centre = (low + high) / 2      half = (high - low) / 2,

with one pair of ends for all numbers of an item, or one for each. It is computed in float64, so
that numbers of a large offset, such as time stamps, keep their digits. A density of x becomes one
of v by a constant: log p(v) = log p(x) - sum log half over the numbers, in nats.

Discrete data take `levels` equally spaced values. Level k is at low + k (high - low) / (levels -
1), that is at x = -1 + k step with step = 2 / (levels - 1). A likelihood of discrete data is a
probability: it has no Jacobian.

The range is a law for discrete data, and for continuous data whose bounds were declared. Otherwise
it is a scaling: numbers beyond it are as good as others, and samples may lie there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ..conditions import Condition, Labels
from ..conditions import classes as class_labels
from ..conditions.classes import ClassName
from ..numerics.precision import double
from .columns import Ends, smallest_dtype
from .spec_fields import (
    check_fields,
    check_items,
    described,
)
from .spec_json import hash_of, plain_values, values_of
from .table_schema import TableSchema
from .vocabularies import Vocabulary

_DIGITS = 8.0
"""float32 is enough where no end of the range is farther from 0 than so many half widths."""
_SMALL, _LARGE = 1e-30, 1e30
"""Half widths between which float32 has all its digits."""


@dataclass(frozen=True)
class DataSpec:
    """What one item is.

    Args:
        shape: of one item.
        low: mapped to -1: the smallest level or bound, or the lower end of the scaling; one number,
            or one for each number of the item in the order of `flatten`.
        high: mapped to 1, likewise.
        levels: how many equally spaced values a number can take; None means continuous.
        classes: the number of classes; None means unlabelled.
        class_names: the value of each class in the data (text, whole numbers or booleans); None
            means 0 to classes - 1.
        columns: names of the numbers of an item of one axis; None means without names.
        bounded: whether low and high bound continuous data by law.
        condition: what a model is conditioned on; None means its class, if it has one.
        vocabulary: what each level of items of one axis stands for, levels from 0: bytes,
            characters, tokens or categories; None means the numbers themselves.
        table: the columns of the table that items are rows of: numbers, and codes, which `encode`
            leaves alone; None for items of one kind of number.

    Raises:
        ValueError: for a description that no data can meet.
    """

    shape: tuple[int, ...]
    low: Ends
    high: Ends
    levels: int | None = None
    classes: int | None = None
    class_names: tuple[ClassName, ...] | None = None
    columns: tuple[str, ...] | None = None
    bounded: bool = False
    condition: Condition | None = None
    vocabulary: Vocabulary | None = None
    table: TableSchema | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __str__(self) -> str:
        """The description in a few words, e.g. "items (1, 8, 8), 17 levels, classes 0 to 9"."""
        return described(self)

    @property
    def given(self) -> Condition | None:
        """The kind of condition of a model of these data: `condition`, else the class."""
        if self.condition is not None or self.classes is None:
            return self.condition
        return Labels(self.classes, self.class_names)

    @property
    def given_name(self) -> str:
        """What `given` is called in figures: "label" for the class, else "condition"."""
        return "label" if self.condition is None else "condition"

    @property
    def condition_hash(self) -> str | None:
        """A hash (BLAKE2b, 64 bits) of `condition` with its names, vocabulary and ranges."""
        return None if self.condition is None else hash_of(self.condition)

    @property
    def dims(self) -> int:
        """The number of dimensions of one item, by which bits/dim divides."""
        return math.prod(self.shape)

    @property
    def step(self) -> float:
        """Distance between neighbouring levels in model space, 2 / (levels - 1)."""
        return 2.0 / (self._levels() - 1)

    @property
    def values(self) -> Float32[Tensor, " levels"]:
        """The levels in model space, from -1 to 1, bit for bit as `encode` returns them."""
        return self.encode(self._raw(torch.arange(self._levels(), dtype=torch.float64)))

    @property
    def log_scale(self) -> float:
        """log |d encode / d raw| in nats per item: log p(raw) = log p(encode(raw)) + log_scale."""
        if isinstance(self.low, float) and isinstance(self.high, float):
            return self.dims * math.log(2.0 / (self.high - self.low))
        return -self._half.log().sum().item()

    @cached_property
    def dtype(self) -> torch.dtype:
        """The dtype of raw continuous items: float32 where it keeps their digits, else float64.

        Rows of a table are float64, so that whole numbers and dates stay whole.
        """
        if self.table is not None:
            return torch.float64
        half = self._half.abs()
        reach = self._centre.abs() + half
        is_enough = (reach <= _DIGITS * half) & (half > _SMALL) & (half < _LARGE)
        return torch.float32 if bool(is_enough.all()) else torch.float64

    @property
    def allowed(self) -> Bool[Tensor, "*shape levels"] | None:
        """Which levels are possible at each number of an item; None where all are.

        The columns of a table of categories have values of their own, and levels beyond them are
        impossible.
        """
        return None if self.vocabulary is None else self.vocabulary.allowed(self.shape)

    @property
    def range_is_law(self) -> bool:
        """Whether numbers outside of low to high are refused."""
        return self.levels is not None or self.bounded

    def encode(self, raw: Shaped[Tensor, "*any"]) -> Float32[Tensor, "*any"]:
        """x = (raw - centre) / half in float64, as float32, for raw of any dtype."""
        number = double(raw)
        centre, half = self._centre.to(number.device), self._half.to(number.device)
        return ((number - centre) / half).float().to(raw.device)

    def decode(self, x: Float[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """Raw items from x in model space.

        For discrete data it is the nearest level, clamped to the range; for continuous data it is
        the inverse of `encode`, clamped to bounds that were declared.

        Returns:
            uint8 where every level is one of 0..255, and int16 or int32 for more levels that are
            counted from 0; continuous data as float64 where x is, or where float32 would lose their
            digits (`dtype`); else float32.

        Raises:
            ValueError: for NaN in discrete data.
        """
        # Arithmetic in bfloat16 would lose levels that x still tells apart.
        x = x if x.dtype == torch.float64 else x.float()
        if self.levels is None:
            return self._continuous(x)
        if bool(x.isnan().any()):
            raise ValueError("x: holds NaN, which is near no level; look for the step that made it")
        raw = self._raw(((x + 1.0) / self.step).round().clamp(0, self.levels - 1))
        return raw if self.level_dtype is None else raw.round().to(self.level_dtype)

    def index(self, raw: Shaped[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """The index of the level of each raw number, 0 for low to levels - 1 for high."""
        number = raw if raw.is_floating_point() else raw.float()
        low, high = self._ends()
        return ((number - low) / (high - low) * (self._levels() - 1)).round().long()

    def class_index(self, labels: Any) -> Int64[Tensor, "*any"]:
        """The index of the class of each label, from 0.

        Args:
            labels: values of classes as the data have them, one or an array; the text of a value
                stands for it.

        Raises:
            ValueError: for a value that is no class; it lists the classes.
        """
        if self.classes is None:
            raise ValueError("labels: these data have no classes; leave them out")
        return class_labels.class_index(labels, self.class_names, self.classes)

    def class_values(self, index: Int64[Tensor, "*any"]) -> Shaped[NDArray[Any], "*any"]:
        """The values in the data of classes that are given by their index."""
        return class_labels.class_values(index, self.class_names)

    def check(
        self, raw: Shaped[Tensor, "n *shape"], labels: Shaped[Tensor, "*n"] | None = None
    ) -> None:
        """Refuse items that do not agree with this description.

        Args:
            raw: items, (n, *shape).
            labels: indices of classes, one per item, or None.

        Raises:
            ValueError: with the first thing wrong and the remedy.
        """
        check_items(self, raw, labels)

    def check_condition(self, rows: Shaped[Tensor, "n *row"] | None, count: int) -> None:
        """Refuse rows that do not agree with the `condition` of this description.

        Args:
            rows: of the condition of `count` items; None where there is none.
            count: the number of items.

        Raises:
            ValueError: for rows of another kind, or some where there should be none.
        """
        if rows is None:
            return
        if self.condition is None:
            raise ValueError("condition: rows for data without a kind; give both, or neither")
        self.condition.check(rows, count)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_dict`."""
        return plain_values(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """The DataSpec that `to_dict` wrote.

        Raises:
            ValueError: for a field that is missing, unknown or of another kind.
        """
        return cls(**values_of(cls, values))

    @property
    def level_dtype(self) -> torch.dtype | None:
        """The smallest dtype of levels that are whole numbers of 0 to 255, or counted from 0; None
        for all other data.
        """
        if self.levels is None:
            return None
        is_counted = (self.low, self.high) == (0.0, self.levels - 1.0)
        return smallest_dtype(self.levels) if is_counted or self.has_bytes else None

    @property
    def has_bytes(self) -> bool:
        """Whether every level is a whole number of 0 to 255."""
        low, high = self._ends()
        return self.is_whole and 0 <= low < high <= 255

    @property
    def is_whole(self) -> bool:
        """Whether every level is a whole number."""
        low, high = self._ends()
        return low.is_integer() and ((high - low) / (self._levels() - 1)).is_integer()

    def on_grid(self, raw: Shaped[Tensor, "n *shape"]) -> bool:
        """Whether each number is a level, up to the rounding of float32."""
        low, high = self._ends()
        is_integer_grid = self.is_whole and high - low == self._levels() - 1
        if is_integer_grid and not raw.is_floating_point():
            return True
        # A level that was rounded to float32 is off by this much at most.
        slack = 2.0**-23 * max(abs(low), abs(high))
        return bool(((raw - self._raw(self.index(raw).double())).abs() <= slack).all())

    def ends(self) -> tuple[Float64[Tensor, "*shape"], Float64[Tensor, "*shape"]]:
        """low and high as tensors, of the shape of an item where each number has its own."""
        low, high = (torch.tensor(end, dtype=torch.float64) for end in (self.low, self.high))
        return (low.view(self.shape), high.view(self.shape)) if low.ndim else (low, high)

    def affine(self) -> tuple[Float64[Tensor, "*any"], Float64[Tensor, "*any"]]:
        """centre and half of raw = centre + half x: one number each, or one per number."""
        return self._centre, self._half

    @cached_property
    def _centre(self) -> Tensor:
        low, high = self.ends()
        return low / 2 + high / 2

    @cached_property
    def _half(self) -> Tensor:
        low, high = self.ends()
        return high / 2 - low / 2

    def _continuous(self, x: Tensor) -> Tensor:
        """centre + half x, computed in float64."""
        number = double(x)
        raw = self._centre.to(number.device) + self._half.to(number.device) * number
        if self.bounded:
            low, high = (end.to(number.device) for end in self.ends())
            raw = raw.clamp(low, high)
        return raw if torch.float64 in (x.dtype, self.dtype) else raw.float().to(x.device)

    def _levels(self) -> int:
        if self.levels is None:
            raise ValueError(
                "levels=None: continuous data have no levels; set levels, or use a density instead"
            )
        return self.levels

    def _ends(self) -> tuple[float, float]:
        """low and high of discrete data, one for all numbers."""
        assert isinstance(self.low, float) and isinstance(self.high, float), "levels are numbers"
        return self.low, self.high

    def _raw(self, index: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The raw value of level k; k (high - low) first, so that whole levels come out whole."""
        low, high = self._ends()
        return low + index * (high - low) / (self._levels() - 1)
