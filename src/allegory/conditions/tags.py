"""Several labels that apply to an item or not, as the condition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick, printable
from .base import (
    CONDITIONS,
    Condition,
    Conditioning,
    check_dropout,
    check_positive,
    check_rows,
    hidden_like,
)
from .numbers import NumberConditioning, Numbers


@dataclass(frozen=True)
class Tags(Condition):
    """Several labels per item that apply or not: rows are 1, 0, or NaN where one is hidden.

    Args:
        names: the labels.
        dropout: fraction of training items for which they alone are hidden, as a part of
            `Combined`.

    Raises:
        ValueError: for no labels, one that is there twice, and no fraction.
    """

    names: tuple[str, ...]
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        check_positive("the number of labels", len(self.names))
        check_dropout(self.dropout)
        if len({*self.names}) < len(self.names):
            raise ValueError("names: give each of them once")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(labels,)."""
        return (len(self.names),)

    def __str__(self) -> str:
        return f"labels out of {', '.join(map(printable, self.names[:12]))}"

    def encode(self, values: Any) -> Float[Tensor, "*n_labels"]:
        """1 for each label that applies, of one item, (labels,), or of several, (n, labels).

        Args:
            values: truth values or numbers 0 and 1, one for each label; or the names of those that
                apply, for one item or in a list per item, None where they are hidden.

        Raises:
            ValueError: for a label that is not known (the message names the closest), another
                number of them, and other values than 0, 1 and NaN.
        """
        if isinstance(values, str):
            values = [values]
        is_list = isinstance(values, list | tuple | set)
        if is_list and all(isinstance(each, str) for each in values):
            return self._applying(values)
        are_lists = is_list and all(
            each is None or isinstance(each, list | tuple | set) for each in values
        )
        if are_lists and all(isinstance(name, str) for each in values for name in each or ()):
            return torch.stack([self._applying(each) for each in values])

        try:
            array = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"condition={values!r:.60}: give {self}") from None
        if array.ndim not in (1, 2) or array.shape[-1] != len(self.names):
            raise ValueError(f"condition: shape {array.shape}; give {self}, 0 or 1 for each")
        if not (np.isnan(array) | (array == 0) | (array == 1)).all():
            raise ValueError(f"condition: values other than 0 and 1; give {self}")
        return torch.from_numpy(array)

    def texts(self, rows: Float[Tensor, "n labels"]) -> list[str]:
        """The labels that apply to each item, joined by " + "; "none" where none does."""
        return [
            " + ".join(name for name, value in zip(self.names, row, strict=True) if value == 1)
            or ("none" if any(map(math.isfinite, row)) else "hidden")
            for row in rows.tolist()
        ]

    def parse(self, text: str) -> list[str]:
        """The labels of "smiling,young"; those that are left out do not apply."""
        return [part.strip() for part in text.split(",") if part.strip() not in ("", "none")]

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items. ValueError."""
        check_rows(self, rows, count)
        if bool(((rows < 0) | (rows > 1)).any()):
            raise ValueError("condition: values outside of 0 to 1; give 1, 0, or NaN to hide one")

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A two-layer perceptron of the values and of what is hidden."""
        kind = Numbers(len(self.names), low=(0.0,) * len(self.names))
        return NumberConditioning(kind, dim)

    def _applying(self, names: Any) -> Float[Tensor, " labels"]:
        table = {name: place for place, name in enumerate(self.names)}
        row = torch.zeros(len(self.names))
        if names is None:
            return hidden_like(row)
        for name in names:
            row[pick("label", name, table)] = 1.0

        return row


CONDITIONS.register("Tags", Tags, "several labels per item, each of which applies or not")
