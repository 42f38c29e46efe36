r"""What is seen of an item: operators A, and the linear ones with their adjoint and pseudo-inverse.

A measurement of an item x0 is y = A(x0) + noise. For a linear A,

    <A x, y> = <x, A^T y>                     the adjoint
    A^+ = (A^T A)^+ A^T                       the pseudo-inverse (Moore & Penrose)

where (A^T A)^+ b is a Krylov solution that starts at 0, unless an operator knows a closed form.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ...numerics.krylov import gmres

T = TypeVar("T")

Index = slice | Sequence[int] | Tensor
"""Which items of a batch."""

_PINV_TOLERANCE = {torch.float64: 1e-13}
"""Of the residual, relative; 1e-6 in lower precision."""
_ADJOINT_TOLERANCE = 1e-4
"""Of the dot-product test, relative; operators may compute in float32."""


@runtime_checkable
class Operator(Protocol):
    """A differentiable function of an item, (b, *shape) -> (b, *measured_shape)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        ...

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of what is measured of one item."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with all its numbers."""
        ...

    def __call__(self, x0: Tensor, /) -> Tensor:
        """A(x0), (b, *measured_shape), of items (b, *shape)."""
        ...

    def rows(self, index: Index, /) -> Operator:
        """The operator for the items `index` of a batch; itself where all have the same."""
        ...


class LinearOperator(ABC):
    """A linear operator; the subclass gives A and its adjoint, and what it knows in closed form of
    `pseudo_inverse`, `row_gram`, `nonnegative`, `items` and `observed`.
    """

    if TYPE_CHECKING:  # a field of the dataclass, or a property

        @property
        def shape(self) -> tuple[int, ...]:
            """The shape of an item."""
            ...

    @property
    @abstractmethod
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of what is measured of one item."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the operator with all its numbers."""

    @abstractmethod
    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """A x0."""

    @abstractmethod
    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """A^T y."""

    @property
    def diagonal(self) -> Float[Tensor, "r *shape"] | None:
        """What multiplies each number of an item, (1 or b, *shape), in float64; None for an
        operator that does more than that.
        """
        return None

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """A^+ y = (A^T A)^+ A^T y, the smallest x that minimises |A x - y|."""
        tolerance = _PINV_TOLERANCE.get(y.dtype, 1e-6)
        return gmres(lambda x: self.adjoint(self(x)), self.adjoint(y), tolerance=tolerance).x

    @property
    def row_gram(self) -> float | None:
        """c where A A^T = c 1; None where it is not of this form, or not known to be."""
        return None

    @property
    def nonnegative(self) -> bool:
        """Whether no entry of A is below 0; False where that is not known."""
        return False

    @property
    def has_closed_inverse(self) -> bool:
        """Whether `pseudo_inverse` is a closed form, and no Krylov solution."""
        return type(self).pseudo_inverse is not LinearOperator.pseudo_inverse

    @property
    def items(self) -> int | None:
        """The number of items of a batch, where each has numbers of its own; else None."""
        return None

    @property
    def observed(self) -> Tensor | None:
        """Which numbers of a measurement are measured, (*measured) or (b, *measured); None for all.
        The others are 0.
        """
        return None

    def rows(self, index: Index) -> LinearOperator:
        """The operator for the items `index` of a batch; itself where all have the same."""
        return self


def fingerprint_of(kind: str, *parts: object) -> str:
    """A hash (BLAKE2b, 64 bits) of the kind of an operator and its numbers.

    Args:
        kind: the name of its class.
        parts: tensors, whose numbers are hashed in float32, so that their precision and device do
            not change it, and anything with a text.
    """
    content = hashlib.blake2b(kind.encode(), digest_size=8)
    for part in parts:
        if isinstance(part, Tensor):
            numbers = part.detach().cpu().float().contiguous() + 0.0  # -0 is 0
            content.update(f"|{tuple(part.shape)}".encode())
            content.update(numbers.numpy().astype("<f4").tobytes())
        else:
            content.update(f"|{part}".encode())

    return content.hexdigest()


def on_device(value: T, device: torch.device) -> T:
    """An operator, or a likelihood, with its tensors on a device.

    Args:
        value: a dataclass; its tensors are moved, and those of dataclasses inside it.
        device: where to.
    """
    moved: Any = value
    if isinstance(value, Tensor):
        moved = value.to(device)
    elif isinstance(value, tuple | list):
        moved = type(value)(on_device(each, device) for each in value)
    elif is_dataclass(value):
        moved = copy.copy(value)
        for name, each in vars(value).items():
            object.__setattr__(moved, name, on_device(each, device))

    return moved  # type: ignore[no-any-return]


def check_adjoint(operator: LinearOperator, count: int = 1) -> None:
    """Refuse an operator whose adjoint is not that of A, by <A x, y> = <x, A^T y> at random x, y.

    Args:
        operator: the operator.
        count: the number of items of a batch; more than 1 where each has its own operator.

    Raises:
        ValueError: with the discrepancy.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(shape: tuple[int, ...]) -> Tensor:
        return torch.randn((count, *shape), generator=generator, dtype=torch.float64)

    x, y = normal(operator.shape), normal(operator.measured_shape)
    with torch.no_grad():
        forward, back = operator(x), operator.adjoint(y)
    for name, found, like in (("A x", forward, y), ("A^T y", back, x)):
        if found.shape != like.shape:
            raise ValueError(
                f"operator {_name(operator)}: {name} has shape {tuple(found.shape)[1:]}; give "
                f"{tuple(like.shape)[1:]}"
            )

    left = (forward.double() * y).flatten(1).sum(1)
    right = (x * back.double()).flatten(1).sum(1)
    scale = (forward.double() * y).abs().flatten(1).sum(1) + 1e-300
    gap = float(((left - right).abs() / scale).max())
    if not gap <= _ADJOINT_TOLERANCE:
        raise ValueError(
            f"operator {_name(operator)}: its adjoint is wrong, <A x, y> = {float(left[0]):.6g} "
            f"and <x, A^T y> = {float(right[0]):.6g} differ by {gap:.2g} of their size; mend "
            "`adjoint`"
        )


def _name(operator: Any) -> str:
    return type(operator).__name__
