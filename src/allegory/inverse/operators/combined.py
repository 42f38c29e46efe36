"""Operators made of others, and of any function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ...lookup import check_type
from .base import Index, LinearOperator, Operator, fingerprint_of

_APART = 1e-3
"""How much the value of one item may differ in a batch, relative; functions may use float32."""


@dataclass(frozen=True, eq=False)
class ComposedOperator(LinearOperator):
    """One linear operator after another: outer(inner(x0)).

    Args:
        outer: applied last.
        inner: applied first.

    Raises:
        ValueError: where the shapes, or the numbers of items, do not meet.
    """

    outer: LinearOperator
    inner: LinearOperator

    def __post_init__(self) -> None:
        for name in ("outer", "inner"):
            check_type(name, getattr(self, name), LinearOperator, "a linear operator")

        if tuple(self.outer.shape) != tuple(self.inner.measured_shape):
            raise ValueError(
                f"outer: is for items of shape {self.outer.shape}, and inner measures "
                f"{self.inner.measured_shape}; give operators that follow one another"
            )

        counts = {self.outer.items, self.inner.items} - {None}
        if len(counts) > 1:
            raise ValueError(
                f"outer: has numbers for {self.outer.items} items, and inner for "
                f"{self.inner.items}; give as many"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the inner operator."""
        return self.inner.shape

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """That of the outer operator."""
        return self.outer.measured_shape

    @property
    def fingerprint(self) -> str:
        """A hash of both operators."""
        return fingerprint_of("ComposedOperator", self.outer.fingerprint, self.inner.fingerprint)

    @property
    def diagonal(self) -> Float[Tensor, "r *shape"] | None:
        """The product of both, where both have one."""
        outer, inner = self.outer.diagonal, self.inner.diagonal
        return None if outer is None or inner is None else outer.to(inner.device) * inner

    @property
    def row_gram(self) -> float | None:
        """The product of both, where both have one."""
        outer, inner = self.outer.row_gram, self.inner.row_gram
        return None if outer is None or inner is None else outer * inner

    @property
    def nonnegative(self) -> bool:
        """Whether neither has an entry below 0."""
        return self.outer.nonnegative and self.inner.nonnegative

    @property
    def has_closed_inverse(self) -> bool:
        """Whether the pseudo-inverse is the product of closed forms."""
        return self._is_product and self.outer.has_closed_inverse and self.inner.has_closed_inverse

    @property
    def items(self) -> int | None:
        """The number of items that have numbers of their own."""
        return self.inner.items if self.outer.items is None else self.outer.items

    @property
    def observed(self) -> Tensor | None:
        """Which numbers of a measurement are measured: those of the outer operator."""
        return self.outer.observed

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """outer(inner(x0))."""
        return self.outer(self.inner(x0))

    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """inner^T outer^T y."""
        return self.inner.adjoint(self.outer.adjoint(y))

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """inner^+ outer^+ y where inner inner^T = c 1, or both are diagonal; else the Krylov
        solution.
        """
        if not self._is_product:
            return super().pseudo_inverse(y)
        return self.inner.pseudo_inverse(self.outer.pseudo_inverse(y))

    def rows(self, index: Index) -> ComposedOperator:
        """The operators of the items `index` of a batch."""
        return self if self.items is None else self._rows(index)

    @property
    def _is_product(self) -> bool:
        return self.inner.row_gram is not None or self.diagonal is not None

    def _rows(self, index: Index) -> ComposedOperator:
        return ComposedOperator(self.outer.rows(index), self.inner.rows(index))


@dataclass(frozen=True, eq=False)
class Function:
    """Any differentiable function of an item.

    Args:
        function: (b, *shape) -> (b, *measured_shape); each item by itself.
        shape: of an item.
        name: by which it is known; the fingerprint is a hash of it.
        measured_shape: of a measurement; filled in.

    Raises:
        ValueError: for a function that returns another number of items, or whose value at one item
            depends on the others.
    """

    function: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    name: str = "function"
    measured_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))

        x = torch.rand(2, *self.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            seen = self.function(x)
            if not isinstance(seen, Tensor) or seen.ndim < 2 or len(seen) != 2:
                what = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
                raise ValueError(
                    f"function: returned {what} for two items; return a tensor (items, *measured)"
                )
            alone = self.function(x[1:])

        if not torch.allclose(alone[0], seen[1], rtol=_APART, atol=1e-6, equal_nan=True):
            gap = float((alone[0] - seen[1]).abs().max())
            raise ValueError(
                f"function: its value at an item differs by {gap:.2g} in a batch with another; "
                "compute each item by itself"
            )

        object.__setattr__(self, "measured_shape", tuple(seen.shape[1:]))

    @property
    def fingerprint(self) -> str:
        """A hash of the name and the shapes."""
        return fingerprint_of("Function", self.name, self.shape, self.measured_shape)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """The function of x0."""
        return self.function(x0)

    def rows(self, index: Index) -> Function:
        """Itself, whatever the `index`."""
        return self


@dataclass(frozen=True, eq=False)
class AffineInput:
    """An operator at centre + half x: of items in model space.

    Args:
        operator: of raw items.
        centre: (*shape).
        half: (*shape).
    """

    operator: Operator
    centre: Tensor
    half: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.operator.shape

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
        """A hash of the operator with the map."""
        return fingerprint_of("AffineInput", self.operator.fingerprint, self.centre, self.half)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """operator(centre + half x0)."""
        return self.operator(self.centre.to(x0) + self.half.to(x0) * x0)

    def rows(self, index: Index) -> AffineInput:
        """The operators of the items `index` of a batch."""
        return replace(self, operator=self.operator.rows(index))
