"""The kinds of conditions of a model, and the rows of a tensor that hold them, one per item.

A batch of conditions is one tensor with one row per item, so that it is sliced, joined and moved
like any other batch. A row may be hidden, so that one network serves with and without a condition
(Ho & Salimans 2022): -1 in rows of integers, NaN in rows of floating-point numbers. None hides the
condition of a whole batch.

A kind is a frozen value of plain fields, which the `DataSpec` holds and `run.json` keeps. It turns
values in the user's units into rows, and builds the module by which a network reads them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..lookup import Registry, check_type
from ..numerics.blocks import BlockMeans

HIDDEN = "none"
"""What hides a condition, in the text of the command line."""


class Conditioning(nn.Module, ABC):
    """A module that adds a condition to the features and the embedding of a network."""

    channels = 0
    """How many channels it adds to the features."""

    @abstractmethod
    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features and the embedding with the condition added.

        Args:
            features: of the noisy data, (b, c, *space).
            embedding: of the noise level, (b, dim).
            condition: one row per item; None hides it for all.

        Raises:
            ValueError: for rows of another type or shape.
        """


class NoConditioning(Conditioning):
    """The conditioning of a network without a condition: it refuses any."""

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features and the embedding as they are. ValueError for a condition."""
        if condition is not None:
            raise ValueError(
                "condition was given to a network built without one: "
                "build it with condition=Labels(...)"
            )
        return features, embedding


class Condition(ABC):
    """A kind of condition: a frozen dataclass of plain values.

    One from outside the package is a frozen dataclass with this base and one call of
    `CONDITIONS.register`.
    """

    @property
    @abstractmethod
    def row_shape(self) -> tuple[int, ...]:
        """The shape of the row of one item."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of rows."""
        return torch.float32

    @abstractmethod
    def encode(self, values: Any) -> Shaped[Tensor, "*n_row"]:
        """The rows of values in the user's units: one row, or one for each of several items.

        Raises:
            ValueError: for what is no value of this kind.
        """

    @abstractmethod
    def texts(self, rows: Shaped[Tensor, "n *row"]) -> list[str]:
        """The value of each row as text, for tables and pictures; "hidden" for a hidden one."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """The value of one item from a `text` of the command line, for `encode`. ValueError."""

    @abstractmethod
    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A new module by which a network reads the rows.

        Args:
            dim: numbers of the embedding.
            space: the axes of an item after its channels.
        """

    def in_training(
        self, rows: Shaped[Tensor, "b *row"], generator: torch.Generator
    ) -> Shaped[Tensor, "b *row"]:
        """The rows as the network sees them in training: with parts hidden, or noise added.

        Args:
            rows: of a batch.
            generator: where random numbers are drawn from, by `numerics.generators.draw_rows`.
        """
        return rows

    def has_rows_of(self, other: Condition) -> bool:
        """Whether rows of the other kind are rows of this one.

        Args:
            other: of other data, of which the items are the same.
        """
        return self == other

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items. ValueError."""
        check_rows(self, rows, count)

    def check_fits(self, shape: tuple[int, ...], low: Any, high: Any) -> None:
        """Refuse items that this does not fit as a condition. ValueError.

        Args:
            shape: of an item.
            low: the lower end of its range.
            high: the upper end.
        """
        return

    @property
    def says_means(self) -> bool:
        """Whether `block_means` says anything."""
        return False

    def block_means(self, rows: Shaped[Tensor, "b *row"]) -> BlockMeans | None:
        """What the rows say of the means over blocks of the items; None for nothing.

        Args:
            rows: of the items.
        """
        return None


CONDITIONS: Registry[type[Condition]] = Registry("condition")
"""The kinds of conditions, by the name of their class."""


def hidden_like(rows: Shaped[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
    """Rows of the same shape that are all hidden: -1, or NaN where they are floating-point."""
    return torch.full_like(rows, math.nan if rows.is_floating_point() else -1)


def parsed_row(kind: Condition, text: str) -> Shaped[Tensor, "*row"]:
    """The row of a text of the command line; "none" hides it.

    Args:
        kind: of the condition.
        text: a value of one item.

    Raises:
        ValueError: for what is no value of this kind.
    """
    if text == HIDDEN:
        return hidden_like(torch.empty(kind.row_shape, dtype=kind.dtype))
    return kind.encode(kind.parse(text))


def is_missing(value: object) -> bool:
    """Whether a value is none, as an empty cell of a table is: None, NaN, or NA of pandas."""
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def is_hidden(rows: Shaped[Tensor, "b *row"]) -> Bool[Tensor, " b"]:
    """Whether each row is hidden, all of it."""
    each = rows.isnan() if rows.is_floating_point() else rows == -1
    return each.flatten(1).all(1) if each.ndim > 1 else each


def rows_of(condition: Any, count: int, kind: Condition | None) -> Tensor | None:
    """The rows of `count` items.

    Args:
        condition: rows as a tensor, or values in the user's units; one may stand for all items.
        count: the number of items.
        kind: of the condition; None for a model without one.

    Raises:
        ValueError: for what is no value of this kind, another number of items, and a condition of
            a model that has none.
    """
    if condition is None:
        return None
    if kind is None:
        raise ValueError(
            "condition: given to a model of data without labels or another condition; leave it out"
        )

    rows = condition if isinstance(condition, Tensor) else kind.encode(condition)
    if rows.ndim == len(kind.row_shape):
        rows = rows.expand(count, *rows.shape)
    kind.check(rows, count)
    return rows


def check_rows(kind: Condition, rows: Tensor, count: int) -> None:
    """Refuse what are no rows of a kind.

    Args:
        kind: of the condition.
        rows: one per item.
        count: the number of items.

    Raises:
        ValueError: for rows of another number, shape or type.
    """
    check_type("condition", rows, Tensor, "rows as a tensor")
    same_type = rows.is_floating_point() == kind.dtype.is_floating_point
    if tuple(rows.shape) != (count, *kind.row_shape) or not same_type or rows.dtype == torch.bool:
        raise ValueError(
            f"condition: {rows.dtype} of shape {tuple(rows.shape)} for {count} items; "
            f"give {kind}, {kind.dtype} of shape {(count, *kind.row_shape)}"
        )


def wrong_rows(condition: Tensor, wanted: tuple[int, ...], what: str) -> str:
    """The message of a network that was given other rows than those of its kind.

    Args:
        condition: what was given.
        wanted: the shape of the rows.
        what: their kind, in words.
    """
    given = f"{condition.dtype} of shape {tuple(condition.shape)}"
    return f"condition is {given}; this network needs {what} of shape {wanted}"


def check_positive(name: str, value: int) -> None:
    """ValueError unless a number of things is at least 1.

    Args:
        name: the argument.
        value: its value.
    """
    if value < 1:
        raise ValueError(f"{name}={value} must be at least 1")


def check_dropout(dropout: float) -> None:
    """ValueError unless `dropout` is a fraction from 0 to 1."""
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout={dropout}; give a fraction from 0 to 1")


def hide_some(
    rows: Shaped[Tensor, "b *row"], hidden: Bool[Tensor, " b"]
) -> Shaped[Tensor, "b *row"]:
    """The rows, those with `hidden` true hidden."""
    mask = hidden.reshape(-1, *(1,) * (rows.ndim - 1)).to(rows.device)
    return torch.where(mask, hidden_like(rows), rows)
