"""A condition that a guide holds: a value in the user's units, or one row of a tensor."""

from __future__ import annotations

from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from ..conditions.base import Condition, parsed_row


def row_for(kind: Condition | None, value: Any) -> Shaped[Tensor, "*row"]:
    """The row of one value.

    Args:
        kind: of the model's condition; None for a model without one.
        value: in the user's units, as text such as the command line's, or a row as a tensor.

    Raises:
        ValueError: for what is no value of this kind, or more than one, and without a kind.
    """
    if kind is None:
        raise ValueError(
            f"condition={value!r:.60}: the model has no condition; leave the guide out"
        )
    if isinstance(value, Tensor):
        row = value
    else:
        row = parsed_row(kind, value) if isinstance(value, str) else kind.encode(value)

    if row.ndim > len(kind.row_shape) and len(row) == 1:
        row = row[0]
    kind.check(row[None], 1)
    return row


def held_row(value: Any, row: Tensor | None, guide: object) -> Tensor:
    """The row that a guide holds: `row` where a model gave it, else the value itself.

    Args:
        value: of the condition.
        row: from `row_for`; None before `bound_to`.
        guide: whose condition it is, for the message.

    Raises:
        ValueError: for a value that is no tensor, of which no model said what it means.
    """
    found = value if row is None else row
    if not isinstance(found, Tensor):
        raise ValueError(
            f"guide {guide}: condition={value!r:.60} is a value, and this Predict takes rows; give "
            "a row as a tensor, or sample a model"
        )
    return found


def for_each(row: Shaped[Tensor, "*row"], x_t: Tensor) -> Shaped[Tensor, "b *row"]:
    """The row once for each item of `x_t`."""
    return row.to(x_t.device).expand(len(x_t), *row.shape)


def as_text(value: Any) -> str | None:
    """The value as an option of a name; None where no text stands for it."""
    if isinstance(value, bool | str | int | float):
        return str(value)
    return None
