"""One number per item, shaped to broadcast against the data."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def expand_like(per_item: Tensor, like: Float[Tensor, "b *shape"]) -> Tensor:
    """`per_item` as (batch, 1, ..., 1), with as many dimensions as `like`."""
    return per_item.reshape(-1, *(1,) * (like.ndim - 1))
