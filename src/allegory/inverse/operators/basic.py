"""Operators that every problem needs: identity, mask, matrix, composition, and any function."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .base import Index, LinearOperator, Operator


def fingerprint_of(kind: str, *parts: object) -> str:
    """A hash (BLAKE2b, 64 bits) of the kind of an operator and its numbers.

    Args:
        kind: the name of its class.
        parts: tensors, whose numbers are hashed in float64, and anything with a text.
    """
    content = hashlib.blake2b(kind.encode(), digest_size=8)
    for part in parts:
        if isinstance(part, Tensor):
            content.update(repr(tuple(part.shape)).encode())
            content.update(part.detach().cpu().double().numpy().tobytes())
        else:
            content.update(f"|{part}".encode())
    return content.hexdigest()


@dataclass(frozen=True)
class Identity(LinearOperator):
    """The item itself: denoising.

    Args:
        shape: of an item.
    """

    shape: tuple[int, ...]

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def fingerprint(self) -> str:
        """A hash of the operator."""
        return fingerprint_of("Identity", self.shape)

    @property
    def diagonal(self) -> Float[Tensor, "1 *shape"]:
        """Ones."""
        return torch.ones(1, *self.shape, dtype=torch.float64)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """x0."""
        return x0

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y."""
        return y

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y."""
        return y


@dataclass(frozen=True, eq=False)
class Mask(LinearOperator):
    """Some numbers of an item; y has the shape of an item, with 0 where nothing is known.

    Args:
        known: True where a number is known, (*shape) for all items or (b, *shape).
        shape: of an item; None for that of `known`.
    """

    known: Bool[Tensor, "*any"]
    shape: tuple[int, ...] = None  # type: ignore[assignment]  # that of `known`

    def __post_init__(self) -> None:
        shape = tuple(self.known.shape) if self.shape is None else tuple(self.shape)
        object.__setattr__(self, "shape", shape)
        if tuple(self.known.shape[-len(shape) :]) != shape or self.known.ndim > len(shape) + 1:
            raise ValueError(
                f"known: shape {tuple(self.known.shape)} for items of shape {shape}; give one mask "
                "of that shape, or one per item"
            )
        object.__setattr__(self, "known", self.known.bool())

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def observed(self) -> Bool[Tensor, "*any"]:
        """Which numbers of a measurement were measured: those that are known."""
        return self.known

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its mask."""
        return fingerprint_of("Mask", self.shape, self.known)

    @property
    def diagonal(self) -> Float[Tensor, "r *shape"]:
        """1 where a number is known, else 0."""
        return self.known.double().view(-1, *self.shape)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """x0 where it is known, else 0."""
        return x0 * self.known.to(x0)

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y where it is known, else 0."""
        return y * self.known.to(y)

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y where it is known, else 0."""
        return self.adjoint(y)

    def rows(self, index: Index) -> Mask:
        """The masks of these items of a batch."""
        if self.known.ndim == len(self.shape):
            return self
        return replace(self, known=self.known[index])


@dataclass(frozen=True, eq=False)
class Matrix(LinearOperator):
    """A matrix over flattened items; y has one axis.

    Args:
        matrix: (m, d) for all items or (b, m, d), d numbers per item.
        shape: of an item; None for (d,).
    """

    matrix: Float[Tensor, "*b m d"]
    shape: tuple[int, ...] = None  # type: ignore[assignment]  # (d,)

    def __post_init__(self) -> None:
        if self.matrix.ndim not in (2, 3):
            raise ValueError(f"matrix: shape {tuple(self.matrix.shape)}; give (m, d) or (b, m, d)")
        d = self.matrix.shape[-1]
        shape = (d,) if self.shape is None else tuple(self.shape)
        if math.prod(shape) != d:
            raise ValueError(f"matrix: {d} columns for items of shape {shape}; give one per number")
        object.__setattr__(self, "shape", shape)

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The number of rows of the matrix."""
        return (self.matrix.shape[-2],)

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its matrix."""
        return fingerprint_of("Matrix", self.shape, self.matrix)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b m"]:
        """A x0."""
        seen: Tensor = torch.matmul(self.matrix.to(x0), x0.flatten(1)[..., None])[..., 0]
        return seen

    def adjoint(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """A^T y."""
        flat: Tensor = torch.matmul(self.matrix.to(y).mT, y[..., None])[..., 0]
        return flat.reshape(len(y), *self.shape)

    def pseudo_inverse(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """A^+ y by the singular value decomposition."""
        inverse: Tensor = torch.linalg.pinv(self.matrix.double()).to(y)
        flat = (inverse @ y[..., None])[..., 0]
        return flat.reshape(len(y), *self.shape)

    def rows(self, index: Index) -> Matrix:
        """The matrices of these items of a batch."""
        return self if self.matrix.ndim == 2 else replace(self, matrix=self.matrix[index])


@dataclass(frozen=True, eq=False)
class Composition(LinearOperator):
    """One linear operator after another: outer(inner(x0)).

    Args:
        outer: applied last.
        inner: applied first.

    Raises:
        ValueError: where the shapes do not meet.
    """

    outer: LinearOperator
    inner: LinearOperator

    def __post_init__(self) -> None:
        if tuple(self.outer.shape) != tuple(self.inner.measured_shape):
            raise ValueError(
                f"outer: is for items of shape {self.outer.shape}, and inner measures "
                f"{self.inner.measured_shape}; give operators that follow one another"
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
        return fingerprint_of("Composition", self.outer.fingerprint, self.inner.fingerprint)

    @property
    def diagonal(self) -> Float[Tensor, "r *shape"] | None:
        """The product of both, where both have one."""
        outer, inner = self.outer.diagonal, self.inner.diagonal
        return None if outer is None or inner is None else outer.to(inner.device) * inner

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """outer(inner(x0))."""
        return self.outer(self.inner(x0))

    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """inner^T outer^T y."""
        return self.inner.adjoint(self.outer.adjoint(y))

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """A^+ y: that of one after the other where both are diagonal, or the inner is one number,
        times the item; else by Krylov steps.
        """
        inner = self.inner.diagonal
        same = inner is not None and bool((inner == inner.flatten()[0]).all())
        if same or self.diagonal is not None:
            return self.inner.pseudo_inverse(self.outer.pseudo_inverse(y))
        return super().pseudo_inverse(y)

    def rows(self, index: Index) -> Composition:
        """The operators of these items of a batch."""
        outer, inner = self.outer.rows(index), self.inner.rows(index)
        same = outer is self.outer and inner is self.inner
        return self if same else Composition(outer, inner)


@dataclass(frozen=True, eq=False)
class Scaled(LinearOperator):
    """An item times a number, or number by number.

    Args:
        scale: one number, or (*shape).
        shape: of an item.
    """

    scale: Tensor
    shape: tuple[int, ...]

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its numbers."""
        return fingerprint_of("Scaled", self.shape, self.scale)

    @property
    def diagonal(self) -> Float[Tensor, "1 *shape"]:
        """The scale of each number."""
        return self.scale.double().expand(1, *self.shape)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """scale x0."""
        return self.scale.to(x0) * x0

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """scale y."""
        return self.scale.to(y) * y

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y / scale, 0 where the scale is 0."""
        scale = self.scale.to(y)
        return torch.where(scale == 0, 0.0, y / scale.where(scale != 0, torch.ones_like(scale)))


@dataclass(frozen=True, eq=False)
class Function:
    """Any differentiable function of an item.

    Args:
        function: (b, *shape) -> (b, *measured_shape); item by item.
        shape: of an item.
        name: by which it is known; the fingerprint hashes it.
        measured_shape: of a measurement; filled in.

    Raises:
        ValueError: for a function that does not keep the items apart.
    """

    function: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    name: str = "function"
    measured_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        with torch.no_grad():
            seen = self.function(torch.zeros(2, *self.shape))
        if not isinstance(seen, Tensor) or seen.ndim < 2 or len(seen) != 2:
            what = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
            raise ValueError(
                f"function: returned {what} for two items; return a tensor (items, *measured)"
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
        """Itself."""
        return self


@dataclass(frozen=True, eq=False)
class Decoded:
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
    def fingerprint(self) -> str:
        """A hash of the operator with the map."""
        return fingerprint_of("Decoded", self.operator.fingerprint, self.centre, self.half)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """operator(centre + half x0)."""
        return self.operator(self.centre.to(x0) + self.half.to(x0) * x0)

    def rows(self, index: Index) -> Decoded:
        """The operators of these items of a batch."""
        return replace(self, operator=self.operator.rows(index))
