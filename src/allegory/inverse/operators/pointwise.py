"""Operators of single numbers: identity, mask, scaling."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ...lookup import check_type
from .base import Index, LinearOperator, fingerprint_of


@dataclass(frozen=True, eq=False)
class Identity(LinearOperator):
    """The item itself: denoising.

    Args:
        shape: of an item.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))

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

    @property
    def row_gram(self) -> float:
        """1."""
        return 1.0

    @property
    def nonnegative(self) -> bool:
        """True."""
        return True

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

    Raises:
        ValueError: for a mask of another shape, or one of numbers other than 0 and 1.
    """

    known: Shaped[Tensor, "*any"]
    shape: tuple[int, ...] = None  # type: ignore[assignment]  # that of `known`

    def __post_init__(self) -> None:
        check_type("known", self.known, Tensor, "a tensor of True and False")

        shape = tuple(self.known.shape) if self.shape is None else tuple(self.shape)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "known", checked_mask(self.known, shape))

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

    @property
    def nonnegative(self) -> bool:
        """True."""
        return True

    @property
    def items(self) -> int | None:
        """The number of masks, where each item has its own."""
        return len(self.known) if self.known.ndim > len(self.shape) else None

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
        """The masks of the items `index` of a batch."""
        return self if self.items is None else replace(self, known=self.known[index])


@dataclass(frozen=True, eq=False)
class Scaled(LinearOperator):
    """An item times a number, or number by number: a diagonal matrix.

    Args:
        scale: one number, (*shape), or (b, *shape) with numbers for each item.
        shape: of an item.

    Raises:
        ValueError: for numbers of another shape, or that are not finite.
    """

    scale: float | Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        scale = torch.as_tensor(self.scale)
        object.__setattr__(self, "scale", scale)

        if scale.ndim and tuple(scale.shape[-len(self.shape) :]) != self.shape:
            raise ValueError(
                f"scale: shape {tuple(scale.shape)} for items of shape {self.shape}; give one "
                "number, or one for each number of an item"
            )

        if scale.ndim > len(self.shape) + 1 or not bool(scale.isfinite().all()):
            raise ValueError(
                f"scale: shape {tuple(scale.shape)}; give finite numbers, of the shape of an item "
                "or of a batch"
            )

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its numbers."""
        return fingerprint_of("Scaled", self.shape, self._numbers)

    @property
    def diagonal(self) -> Float[Tensor, "r *shape"]:
        """The scale of each number."""
        return self._numbers.double().expand(self.items or 1, *self.shape)

    @property
    def row_gram(self) -> float | None:
        """scale^2, where all numbers are of this size and not 0."""
        square = self._numbers.double().square().flatten()
        is_one = bool((square == square[0]).all()) and bool(square[0] > 0)
        return float(square[0]) if is_one else None

    @property
    def nonnegative(self) -> bool:
        """Whether no number is below 0."""
        return bool((self._numbers >= 0).all())

    @property
    def items(self) -> int | None:
        """The number of items that have numbers of their own."""
        return len(self._numbers) if self._numbers.ndim > len(self.shape) else None

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """scale x0."""
        return self._numbers.to(x0) * x0

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """scale y."""
        return self._numbers.to(y) * y

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y / scale, 0 where the scale is 0."""
        scale = self._numbers.to(y)
        is_zero = scale == 0
        return (y / scale.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)

    def rows(self, index: Index) -> Scaled:
        """The numbers of the items `index` of a batch."""
        return self if self.items is None else replace(self, scale=self._numbers[index])

    @property
    def _numbers(self) -> Tensor:
        assert isinstance(self.scale, Tensor), "made a tensor by __post_init__"
        return self.scale


def checked_mask(known: Tensor, shape: tuple[int, ...]) -> Bool[Tensor, "*any"]:
    """A mask as True and False.

    Args:
        known: of numbers 0 and 1, or True and False.
        shape: of a mask; one axis of items may come first.

    Raises:
        ValueError: for another shape, or other numbers.
    """
    size = tuple(known.shape)
    axes = len(size) - len(shape)

    if axes not in (0, 1) or size[axes:] != shape:
        raise ValueError(
            f"known: a mask of shape {size} for {shape}; give one of that shape for all items, or "
            "one per item"
        )
    if known.dtype != torch.bool and not bool(((known == 0) | (known == 1)).all()):
        raise ValueError("known: has numbers other than 0 and 1; give True where one is known")

    return known.bool()
