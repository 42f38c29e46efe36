"""What the raw items are, and the affine map between them and the model.

A model sees x in [-1, 1]; the data are v in [low, high]. The map is exact at both ends and in the
middle,

    x = (2 v - low - high) / (high - low)        v = (low + high + x (high - low)) / 2,

so a density of x becomes one of v by a constant: log p(v) = log p(x) + dims log(2 / (high - low)),
in nats.

Discrete data take `levels` equally spaced values. Level k is at low + k (high - low) / (levels -
1), that is at x = -1 + k step with step = 2 / (levels - 1). A likelihood of discrete data is a
probability: it has no Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor


@dataclass(frozen=True)
class DataSpec:
    """What one item is.

    Args:
        shape: of one item.
        low: the smallest number, mapped to -1.
        high: the largest number, mapped to 1.
        levels: how many equally spaced values a number can take; None means continuous.
        classes: the number of classes; None means unlabelled.

    Raises:
        ValueError: for a description that no data can meet.
    """

    shape: tuple[int, ...]
    low: float
    high: float
    levels: int | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise ValueError(
                f"shape={self.shape}: give at least one axis, each of length 1 or more"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"low={self.low}, high={self.high}: give two finite numbers, low below high"
            )
        if self.levels is not None and self.levels < 2:
            raise ValueError(f"levels={self.levels}: give 2 or more, or None for continuous data")
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"classes={self.classes}: give 1 or more, or None for data without labels"
            )

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
        return self.dims * math.log(2.0 / (self.high - self.low))

    def encode(self, raw: Shaped[Tensor, "*any"]) -> Float32[Tensor, "*any"]:
        """x = (2 raw - low - high) / (high - low), for raw of any dtype."""
        number = raw if raw.is_floating_point() else raw.float()
        return ((2.0 * number - (self.low + self.high)) / (self.high - self.low)).float()

    def decode(self, x: Float[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """Raw items from x in model space.

        For discrete data it is the nearest level, clamped to the range; for continuous data it is
        the inverse of `encode`, not clamped.

        Returns:
            uint8 where every level is one of 0..255, else float32 or float64.

        Raises:
            ValueError: for NaN in discrete data.
        """
        # Arithmetic in bfloat16 would lose levels that x still tells apart.
        x = x if x.dtype == torch.float64 else x.float()
        if self.levels is None:
            return (self.low + self.high + x * (self.high - self.low)) / 2.0
        if bool(x.isnan().any()):
            raise ValueError("x: holds NaN, which is near no level; look for the step that made it")
        raw = self._raw(((x + 1.0) / self.step).round().clamp(0, self.levels - 1))
        return raw.to(torch.uint8) if self._whole and 0 <= self.low < self.high <= 255 else raw

    def index(self, raw: Shaped[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """The index of the level of each raw number, 0 for low to levels - 1 for high."""
        number = raw if raw.is_floating_point() else raw.float()
        return ((number - self.low) / (self.high - self.low) * (self._levels() - 1)).round().long()

    def check(
        self, raw: Shaped[Tensor, "n *shape"], labels: Shaped[Tensor, "*n"] | None = None
    ) -> None:
        """Refuse items that do not agree with this description.

        Args:
            raw: items, (n, *shape).
            labels: one per item, or None.

        Raises:
            ValueError: with the first thing wrong and the remedy.
        """
        if len(raw) == 0:
            raise ValueError("x: no items; give at least one")
        if tuple(raw.shape[1:]) != self.shape:
            raise ValueError(
                f"x: items of shape {tuple(raw.shape[1:])}, expected {self.shape}; "
                "reshape the array"
            )

        if not bool(raw.isfinite().all()):
            raise ValueError("x: holds NaN or infinite values; remove or replace those items")

        low, high = raw.min().item(), raw.max().item()
        if low < self.low or high > self.high:
            raise ValueError(
                f"x: values in [{low:g}, {high:g}], outside [{self.low:g}, {self.high:g}]; "
                "rescale it"
            )
        if self.levels is not None and not self._on_grid(raw):
            raise ValueError(
                f"x: values between the {self.levels} levels of [{self.low:g}, {self.high:g}]; "
                "round them, or use levels=None for continuous data"
            )

        if labels is not None:
            self._check_labels(labels, len(raw))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_dict`."""
        return asdict(self) | {"shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """The DataSpec that `to_dict` wrote. ValueError when a field is missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(
                f"fields {sorted(values)}: expected {sorted(names)}; "
                "write them with DataSpec.to_dict"
            )
        return cls(**{**values, "shape": tuple(values["shape"])})

    def _levels(self) -> int:
        if self.levels is None:
            raise ValueError(
                "levels=None: continuous data have no levels; set levels, or use a density instead"
            )
        return self.levels

    def _raw(self, index: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The raw value of level k; k (high - low) first, so that whole levels come out whole."""
        return self.low + index * (self.high - self.low) / (self._levels() - 1)

    @property
    def _whole(self) -> bool:
        """Whether every level is a whole number."""
        width = (self.high - self.low) / (self._levels() - 1)
        return float(self.low).is_integer() and width.is_integer()

    def _on_grid(self, raw: Shaped[Tensor, "n *shape"]) -> bool:
        """Whether each number is a level, up to the rounding of float32."""
        is_integer_grid = self._whole and self.high - self.low == self._levels() - 1
        if is_integer_grid and not raw.is_floating_point():
            return True
        # A level that was rounded to float32 is off by this much at most.
        slack = 2.0**-23 * max(abs(self.low), abs(self.high))
        return bool(((raw - self._raw(self.index(raw).double())).abs() <= slack).all())

    def _check_labels(self, labels: Shaped[Tensor, "*n"], count: int) -> None:
        if self.classes is None:
            raise ValueError(
                "labels: given for data without classes; set classes, or leave the labels out"
            )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"labels: dtype {labels.dtype}; give integers 0 to {self.classes - 1}")
        if tuple(labels.shape) != (count,):
            raise ValueError(
                f"labels: shape {tuple(labels.shape)} for {count} items; give one label an item"
            )

        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise ValueError(
                f"labels: values in [{low}, {high}]; give integers 0 to {self.classes - 1}"
            )
