"""Operators of what a decoder makes of latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from .base import Index, Operator, fingerprint_of


@dataclass(frozen=True, eq=False)
class DecodedInput:
    """An operator of the decoded item: A(D(u)) of a latent u. It is not linear, whatever A is.

    Args:
        operator: A, of raw items.
        decode: D, from latents (b, *shape) to raw items, differentiable.
        shape: of a latent.
    """

    operator: Operator
    decode: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of what is measured of one item."""
        return self.operator.measured_shape

    @property
    def observed(self) -> Tensor | None:
        """Which numbers of a measurement are measured; None for all."""
        found: Tensor | None = getattr(self.operator, "observed", None)
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of the operator; the weights of the decoder are not part of it."""
        return fingerprint_of("DecodedInput", self.operator.fingerprint)

    def __call__(self, x0: Float[Tensor, "b *latent"]) -> Float[Tensor, "b *measured"]:
        """A(D(x0)) of latents."""
        return self.operator(self.decode(x0))

    def rows(self, index: Index) -> DecodedInput:
        """The operators of the items `index` of a batch."""
        return replace(self, operator=self.operator.rows(index))
