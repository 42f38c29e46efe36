"""A vector of numbers as the condition."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn

from ..lookup import Note, pick, printable
from .base import (
    CONDITIONS,
    HIDDEN,
    Condition,
    Conditioning,
    check_dropout,
    check_positive,
    check_rows,
    wrong_rows,
)

_SHOWN = 5  # numbers in a message
_MOST_NUMBERS = 100_000
_LARGEST = 1e30  # float32 ends at 3.4e38
_DIGITS = 8.0
"""float32 is enough where no end of the range is farther from 0 than so many half widths."""


@dataclass(frozen=True)
class Numbers(Condition):
    """A vector of numbers per item: rows are in the data's own units, NaN where one is hidden.

    A network sees them scaled, low to -1 and high to 1. A number may be hidden by itself, as a
    missing value is.

    Args:
        dim: how many.
        names: what each is called; None for without names.
        low: the smallest value of each in the training data; None for -1.
        high: the largest; None for 1.
        dropout: fraction of training items for which they alone are hidden, as a part of
            `Combined`.

    Raises:
        ValueError: for fewer than 1 or more than 100,000, names or ranges of another number, and no
            fraction.
    """

    dim: int
    names: tuple[str, ...] | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive("dim", self.dim)
        if self.dim > _MOST_NUMBERS:
            raise ValueError(f"dim={self.dim:,}: give at most {_MOST_NUMBERS:,} numbers")
        check_dropout(self.dropout)
        for name in ("names", "low", "high"):
            value = getattr(self, name)
            if value is not None and len(value) != self.dim:
                raise ValueError(f"{name}: {len(value)} for dim={self.dim}; give one for each")
            object.__setattr__(self, name, None if value is None else tuple(value))
        if self.names is not None and len({*self.names}) < self.dim:
            raise ValueError("names: give each of them once")
        for low, high in zip(*self.ranges, strict=True):
            if not (math.isfinite(high - low) and low <= high):
                raise ValueError(f"low={low}, high={high}: give finite numbers, low below high")

    @classmethod
    def of(
        cls,
        values: Shaped[NDArray[Any], "n dim"],
        names: Sequence[str] | None = None,
        dropout: float = 0.0,
    ) -> Numbers:
        """The kind of the numbers of training items, with their ranges.

        Args:
            values: of the training items, (n, dim); NaN where one is missing.
            names: what each is called.
            dropout: as of the class.

        Raises:
            ValueError: for a number that is missing everywhere, or infinite.
        """
        known = np.isfinite(values).any(0)
        if not known.all() or np.isinf(values).any():
            place = int(np.argmin(known))
            name = place if names is None else repr(printable(names[place]))
            raise ValueError(f"condition: number {name} is missing everywhere, or infinite")
        low, high = (tuple(end(values, 0).tolist()) for end in (np.nanmin, np.nanmax))

        return cls(values.shape[1], None if names is None else tuple(names), low, high, dropout)

    @property
    def ranges(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The smallest and the largest value of each."""
        low = (-1.0,) * self.dim if self.low is None else self.low
        high = (1.0,) * self.dim if self.high is None else self.high
        return low, high

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(dim,)."""
        return (self.dim,)

    @property
    def dtype(self) -> torch.dtype:
        """float32, or float64 where a large offset would take its digits, as of time stamps."""
        is_far = any(
            max(abs(low), abs(high)) > _DIGITS * (high - low) / 2 > 0
            for low, high in zip(*self.ranges, strict=True)
        )
        return torch.float64 if is_far else torch.float32

    def __str__(self) -> str:
        named = "" if self.names is None else f" ({', '.join(map(printable, self.names[:12]))})"
        return f"{self.dim} number{'s' if self.dim > 1 else ''}{named}"

    def encode(self, values: Any) -> Float[Tensor, "*n_dim"]:
        """The numbers of one item, (dim,), or of several, (n, dim).

        Numbers outside of the range of the training data are named by a `Note`.

        Args:
            values: numbers, NaN where one is hidden; or a mapping from names to numbers, where
                what is left out is hidden.

        Raises:
            ValueError: for what are no numbers, another number of them, and unknown names.
        """
        if isinstance(values, dict):
            values = self._by_name(values)
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"condition={values!r:.60}: give {self}") from None
        if self.dim == 1 and (array.ndim == 0 or array.shape[-1:] != (1,)):
            array = array[..., None]
        if array.ndim not in (1, 2) or array.shape[-1] != self.dim:
            raise ValueError(f"condition: shape {array.shape}; give {self}, one finite number each")
        if (np.abs(array) > _LARGEST).any():
            raise ValueError(
                f"condition: {np.nanmax(np.abs(array)):g} in size; give finite numbers of at "
                f"most {_LARGEST:g}, and NaN where one is hidden"
            )
        self._note(array.reshape(-1, self.dim))

        return torch.from_numpy(array).to(self.dtype)

    def texts(self, rows: Float[Tensor, "n dim"]) -> list[str]:
        """The numbers of each row, such as "age 30, dose 0.5"."""
        names = [""] * self.dim if self.names is None else [f"{name} " for name in self.names]
        return [
            ", ".join(f"{name}{value:.4g}" for name, value in zip(names, row, strict=True))
            if any(map(math.isfinite, row))
            else "hidden"
            for row in rows.tolist()
        ]

    def parse(self, text: str) -> Any:
        """Numbers from "0.5,1.2" or "0.5,none", or from "age=30,dose=0.5" where those left out are
        hidden.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            if all("=" in part for part in parts):
                pairs = [part.split("=", 1) for part in parts]
                found = {name.strip(): _number(value) for name, value in pairs}
                if len(found) < len(pairs):
                    raise ValueError("a name is there twice")
                return found
            return [_number(part) for part in parts]
        except ValueError:
            raise ValueError(f"condition {text!r}: give {self}, {self._example}") from None

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items. ValueError."""
        check_rows(self, rows, count)
        if bool(rows.isinf().any()):
            raise ValueError("condition: infinite numbers; give finite ones, or NaN to hide one")

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A two-layer perceptron of the scaled numbers and of what is hidden."""
        return NumberConditioning(self, dim)

    @property
    def _example(self) -> str:
        return f"such as {','.join(f'{low:.4g}' for low in self.ranges[0])}"

    def _by_name(self, values: dict[str, Any]) -> NDArray[np.float64]:
        if self.names is None:
            raise ValueError(f"condition: its numbers have no names; give {self}, {self._example}")
        names = {name: place for place, name in enumerate(self.names or ())}
        for name in values:
            pick("condition", name, names)
        width = max((np.size(value) for value in values.values()), default=1)
        columns = [
            np.broadcast_to(np.asarray(values.get(name, math.nan), np.float64), (width,))
            for name in names
        ]
        table = np.stack(columns, -1)

        return table[0] if width == 1 else table

    def _note(self, values: Shaped[NDArray[Any], "n dim"]) -> None:
        """Say which numbers lie outside of the range of the training data."""
        low, high = map(np.asarray, self.ranges)
        if self.low is None:
            return
        outside = (values < low) | (values > high)
        for place in np.flatnonzero(outside.any(0))[:_SHOWN]:
            name = f"number {place}" if self.names is None else printable(self.names[place])
            value = values[outside[:, place], place][0]
            warnings.warn(
                f"condition: {name} {value:g} is outside of the training data, {low[place]:g} to "
                f"{high[place]:g}; the model learned nothing there",
                Note,
                stacklevel=3,
            )


def _number(text: str) -> float:
    return math.nan if text.strip() == HIDDEN else float(text)


class NumberConditioning(Conditioning):
    """Adds a two-layer embedding of the scaled numbers, 0 where hidden, and of a mask, 1 if known.

    Args:
        kind: the numbers with their ranges.
        dim: width of the embedding.
    """

    centre: Tensor
    half_width: Tensor

    def __init__(self, kind: Numbers, dim: int) -> None:
        super().__init__()
        self.dim = kind.dim
        self.embed = nn.Sequential(nn.Linear(2 * kind.dim, dim), nn.SiLU(), nn.Linear(dim, dim))

        low, high = (torch.tensor(end, dtype=torch.float64) for end in kind.ranges)
        centre, half = low / 2 + high / 2, high / 2 - low / 2
        half = torch.where(half > 0, half, 1.0)
        self.register_buffer("centre", centre.to(kind.dtype), persistent=False)
        self.register_buffer("half_width", half.to(kind.dtype), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the condition. ValueError for no vector."""
        batch = features.shape[0]
        if condition is None:
            nothing = embedding.new_zeros(batch, 2 * self.dim)
            return features, embedding + self.embed(nothing)

        if condition.shape != (batch, self.dim) or not condition.is_floating_point():
            raise ValueError(wrong_rows(condition, (batch, self.dim), "floating-point numbers"))

        known = ~condition.isnan()
        # Before the layers: NaN * 0 in a gradient is NaN.
        scaled = torch.where(known, (condition - self.centre) / self.half_width, 0.0)
        seen = torch.cat([scaled, known.to(scaled)], dim=1).to(embedding.dtype)
        return features, embedding + self.embed(seen)


CONDITIONS.register("Numbers", Numbers, "a vector of numbers per item")
