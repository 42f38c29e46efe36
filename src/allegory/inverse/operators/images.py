"""Operators of images: a part of them, their means over blocks, and their grey value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...lookup import check_count
from ...numerics.blocks import from_blocks, to_blocks
from .base import LinearOperator, fingerprint_of

_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Crop(LinearOperator):
    """A box of an item: y = x0[start : start + size] along the last axes. A A^T = 1.

    Args:
        shape: of an item.
        start: the first index along each of the last axes.
        size: of the box along these axes.

    Raises:
        ValueError: for a box that is not inside the item.
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("shape", "start", "size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

        sides = self.shape[len(self.shape) - len(self.start) :]
        is_inside = all(
            first >= 0 and count >= 1 and first + count <= side
            for first, count, side in zip(self.start, self.size, sides, strict=False)
        )

        if not len(sides) == len(self.start) == len(self.size) or not is_inside:
            raise ValueError(
                f"size: a box of {self.size} from {self.start} is not inside an item of shape "
                f"{self.shape}; give one that is"
            )

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """That of an item, with the sides of the box last."""
        return (*self.shape[: len(self.shape) - len(self.size)], *self.size)

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its box."""
        return fingerprint_of("Crop", self.shape, self.start, self.size)

    @property
    def row_gram(self) -> float:
        """1."""
        return 1.0

    @property
    def nonnegative(self) -> bool:
        """True."""
        return True

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """The box."""
        return x0[self._box]

    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """y in the box, 0 around it."""
        x = y.new_zeros(len(y), *self.shape)
        x[self._box] = y
        return x

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """y in the box, 0 around it."""
        return self.adjoint(y)

    @property
    def _box(self) -> Any:
        ranges = (slice(at, at + n) for at, n in zip(self.start, self.size, strict=True))
        return (..., *ranges)


@dataclass(frozen=True, eq=False)
class Downsample(LinearOperator):
    """The means over blocks of factor x factor pixels, for super-resolution. A A^T = 1/factor^2.

    Args:
        shape: of an item, whose last two axes are divided into blocks.
        factor: the sides of a block, in pixels.

    Raises:
        ValueError: for a factor that does not divide both sides.
    """

    shape: tuple[int, ...]
    factor: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        check_count("factor", self.factor, 1, 1_000_000)

        sides = self.shape[-2:]
        if len(sides) < 2 or any(side % self.factor for side in sides):
            raise ValueError(
                f"factor={self.factor}: does not divide the last two sides of {self.shape}; give "
                "a factor of both"
            )

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """That of an item, with both sides divided by the factor."""
        *outer, height, width = self.shape
        return (*outer, height // self.factor, width // self.factor)

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its factor."""
        return fingerprint_of("Downsample", self.shape, self.factor)

    @property
    def row_gram(self) -> float:
        """1/factor^2."""
        return 1.0 / self.factor**2

    @property
    def nonnegative(self) -> bool:
        """True."""
        return True

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """The mean of x0 over each block."""
        return to_blocks(x0, self.factor).mean(-1)

    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """y/factor^2 at each pixel of its block."""
        return self.pseudo_inverse(y) / self.factor**2

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """y at each pixel of its block."""
        return from_blocks(y[..., None].expand(*y.shape, self.factor**2), self.factor)


@dataclass(frozen=True, eq=False)
class Grey(LinearOperator):
    """A weighted sum over the channels, sum_c w_c x_c, for colorization. A A^T = sum_c w_c^2.

    Args:
        shape: of an item, whose first axis is that of the channels.
        weights: one per channel; None for 0.299, 0.587, 0.114 of three channels (ITU-R BT.601), and
            the mean of any other number.

    Raises:
        ValueError: for another number of weights than of channels, or weights of 0.
    """

    shape: tuple[int, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) < 2:
            raise ValueError(f"shape={self.shape}: has no axis of channels; give (c, *space)")

        channels = self.shape[0]
        default = _LUMA if channels == len(_LUMA) else (1 / channels,) * channels

        weights = default if self.weights is None else tuple(map(float, self.weights))
        if len(weights) != channels or not 0 < sum(w * w for w in weights) < float("inf"):
            raise ValueError(f"weights={weights}: give {channels} numbers, not all of them 0")
        object.__setattr__(self, "weights", weights)

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """That of an item, with one channel."""
        return (1, *self.shape[1:])

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its weights."""
        return fingerprint_of("Grey", self.shape, self._numbers)

    @property
    def row_gram(self) -> float:
        """sum_c w_c^2."""
        return float(self._numbers.square().sum())

    @property
    def nonnegative(self) -> bool:
        """Whether no weight is below 0."""
        return bool((self._numbers >= 0).all())

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *measured"]:
        """The weighted sum of the channels of x0."""
        return (self._column.to(x0) * x0).sum(1, keepdim=True)

    def adjoint(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """w_c y in channel c."""
        return self._column.to(y) * y

    def pseudo_inverse(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "b *shape"]:
        """w_c y / sum w^2 in channel c."""
        return self.adjoint(y) / self.row_gram

    @property
    def _numbers(self) -> Tensor:
        assert self.weights is not None, "filled in by __post_init__"
        return torch.tensor(self.weights, dtype=torch.float64)

    @property
    def _column(self) -> Tensor:
        return self._numbers.reshape(-1, *(1,) * (len(self.shape) - 1))
