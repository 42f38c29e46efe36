"""A class as the condition: one integer per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn

from .base import (
    CONDITIONS,
    Condition,
    Conditioning,
    check_dropout,
    check_positive,
    is_missing,
    wrong_rows,
)
from .classes import (
    ClassName,
    check_class_names,
    class_index,
    class_values,
    classes_text,
    label_array,
)


@dataclass(frozen=True)
class Labels(Condition):
    """One class per item: rows are indices, 0 to classes - 1, or -1 where it is hidden.

    Args:
        classes: the number of classes.
        names: the value of each class in the data; None means 0 to classes - 1.
        dropout: fraction of training items for which it alone is hidden, as a part of `Combined`.

    Raises:
        ValueError: for fewer than 1 class, names that do not fit, or no fraction.
    """

    classes: int
    names: tuple[ClassName, ...] | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive("classes", self.classes)
        check_dropout(self.dropout)
        if self.names is not None:
            check_class_names(self.names, self.classes)
            object.__setattr__(self, "names", tuple(self.names))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(): a row is one integer."""
        return ()

    @property
    def dtype(self) -> torch.dtype:
        """int64."""
        return torch.int64

    def __str__(self) -> str:
        return f"a class of {classes_text(self.names, self.classes)}"

    def encode(self, values: Any) -> Int64[Tensor, "*n"]:
        """The indices of classes, one or several.

        Args:
            values: classes as the data have them; -1 is hidden, where no class has that value, and
                so are None and NaN beside text.

        Raises:
            ValueError: for what is no class; the message lists the classes.
        """
        is_column = getattr(getattr(values, "dtype", None), "kind", "") == "O"
        if isinstance(values, list | tuple) or is_column:
            missing = np.array([is_missing(each) for each in values], dtype=bool)
            if missing.any():
                return self._with_missing(values, missing)
        try:
            labels = label_array(values)
        except ValueError:
            raise ValueError(
                f"condition={values!r}: give one class for all items, or one per item"
            ) from None
        flat = labels.reshape(-1)
        is_open = flat.dtype.kind == "i" and -1 not in (self.names or ())
        hidden = (flat == -1) if is_open else np.zeros(flat.shape, bool)

        index = np.full(flat.shape, -1)
        try:
            index[~hidden] = class_index(flat[~hidden], self.names, self.classes).numpy()
        except ValueError as error:
            raise ValueError(f"condition: {error}") from None
        return torch.from_numpy(index.reshape(labels.shape))

    def _with_missing(self, values: Any, missing: Bool[NDArray[np.bool_], " n"]) -> Tensor:
        """The indices of classes, hidden where `missing`."""
        index = torch.full((len(missing),), -1)
        known = [each for each, absent in zip(values, missing, strict=True) if not absent]
        if known:
            index[torch.from_numpy(~missing)] = self.encode(known)
        return index

    def texts(self, rows: Int64[Tensor, " n"]) -> list[str]:
        """The value of each class in the data."""
        values = class_values(rows.clamp_min(0), self.names).tolist()
        return [
            "hidden" if row < 0 else str(value)
            for row, value in zip(rows.tolist(), values, strict=True)
        ]

    def parse(self, text: str) -> str:
        """The text itself, which stands for the class."""
        return text

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """A table of embeddings."""
        return LabelConditioning(self, dim)

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no indices for `count` items. ValueError."""
        is_integer = not rows.is_floating_point() and rows.dtype != torch.bool
        if tuple(rows.shape) != (count,) or not is_integer:
            raise ValueError(
                f"condition: {rows.dtype} of shape {tuple(rows.shape)} for {count} items; "
                "give one class for all items, or one per item"
            )


class LabelConditioning(Conditioning):
    """Adds the learned embedding of the label: row k + 1 of its table, row 0 where it is hidden.

    Args:
        kind: the number of classes.
        dim: width of the embedding.
    """

    def __init__(self, kind: Labels, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(kind.classes + 1, dim)

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Shaped[Tensor, "*b"] | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the condition. ValueError for no label."""
        if condition is None:
            return features, embedding + self.table.weight[0]
        self._check(condition, features.shape[0])
        return features, embedding + self.table(condition.long() + 1)

    def _check(self, condition: Tensor, batch: int) -> None:
        is_integer = not condition.is_floating_point() and condition.dtype != torch.bool
        if condition.shape != (batch,) or not is_integer:
            raise ValueError(wrong_rows(condition, (batch,), "integer labels"))

        # On an accelerator the range check would synchronise; there nn.Embedding asserts it.
        if condition.device.type == "cpu" and condition.numel():
            low, high = (int(value) for value in condition.aminmax())
            last = self.table.num_embeddings - 2
            if low < -1 or high > last:
                raise ValueError(
                    f"condition has labels {low} to {high}: use 0 to {last}, or -1 for none"
                )


CONDITIONS.register("Labels", Labels, "one class per item")
