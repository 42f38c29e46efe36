"""What a distribution of latents is to a bound: Gaussian or over finitely many values."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Distribution(Protocol):
    """A distribution of a batch of arrays."""

    def draw(self, noise: Tensor) -> Tensor:
        """A draw, by standard-normal `noise` of its shape."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, summed over each item."""
        ...

    def kl(self, other: Any) -> Tensor:
        """KL(self || other) in nats, summed over each item; `other` is of the same kind."""
        ...
