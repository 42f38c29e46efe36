"""A matrix over the numbers of an item, and random directions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ...lookup import check_count, check_type, is_whole
from .base import Index, LinearOperator, fingerprint_of


@dataclass(frozen=True, eq=False)
class Matrix(LinearOperator):
    """A matrix over flattened items; y has one axis.

    Args:
        matrix: (m, d) for all items or (b, m, d), d numbers per item.
        shape: of an item; None for (d,).

    Raises:
        ValueError: for a matrix of another shape, or with numbers that are not finite.
    """

    matrix: Float[Tensor, "*any"]
    shape: tuple[int, ...] = None  # type: ignore[assignment]  # (d,)

    def __post_init__(self) -> None:
        check_type("matrix", self.matrix, Tensor, "a tensor (m, d)")
        if self.matrix.ndim not in (2, 3) or not bool(self.matrix.isfinite().all()):
            raise ValueError(
                f"matrix: shape {tuple(self.matrix.shape)}; give finite numbers (m, d), or "
                "(b, m, d)"
            )

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

    @property
    def nonnegative(self) -> bool:
        """Whether no entry is below 0."""
        return bool((self.matrix >= 0).all())

    @property
    def items(self) -> int | None:
        """The number of matrices, where each item has its own."""
        return len(self.matrix) if self.matrix.ndim == 3 else None

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b m"]:
        """A x0."""
        return _times(self.matrix, x0.flatten(1))

    def adjoint(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """A^T y."""
        return _times(self.matrix.mT, y).reshape(len(y), *self.shape)

    def pseudo_inverse(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """A^+ y by the singular value decomposition."""
        return _times(self._inverse, y).reshape(len(y), *self.shape)

    def rows(self, index: Index) -> Matrix:
        """The matrices of the items `index` of a batch."""
        return self if self.items is None else replace(self, matrix=self.matrix[index])

    @cached_property
    def _inverse(self) -> Float64[Tensor, "*b d m"]:
        inverse: Tensor = torch.linalg.pinv(self.matrix.double())
        return inverse


@dataclass(frozen=True, eq=False)
class RandomProjection(LinearOperator):
    """Products with orthonormal random directions of a fixed seed: compressed sensing. A A^T = 1.

    The directions are Q of the QR decomposition of a Gaussian matrix, uniform on the sphere.

    Args:
        shape: of an item.
        count: how many directions, at most as many as an item has numbers.
        seed: one for all items, or one per item.

    Raises:
        ValueError: for more directions than numbers.
    """

    shape: tuple[int, ...]
    count: int
    seed: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        check_count("count", self.count, 1, math.prod(self.shape))
        if not is_whole(self.seed):
            object.__setattr__(self, "seed", tuple(self.seed))  # type: ignore[arg-type]
        for seed in self._seeds:
            check_count("seed", seed, 0, 2**64 - 1)

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The number of directions."""
        return (self.count,)

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its seeds."""
        return fingerprint_of("RandomProjection", self.shape, self.count, self.seed)

    @property
    def row_gram(self) -> float:
        """1."""
        return 1.0

    @property
    def items(self) -> int | None:
        """The number of items that have directions of their own."""
        return len(self.seed) if isinstance(self.seed, tuple) else None

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b m"]:
        """The products of x0 with the directions."""
        return _times(self._directions, x0.flatten(1))

    def adjoint(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """The sum of the directions times y."""
        return _times(self._directions.mT, y).reshape(len(y), *self.shape)

    def pseudo_inverse(self, y: Float[Tensor, "b m"]) -> Float[Tensor, "b *shape"]:
        """The sum of the directions times y."""
        return self.adjoint(y)

    def rows(self, index: Index) -> RandomProjection:
        """The directions of the items `index` of a batch."""
        if not isinstance(self.seed, tuple):
            return self
        chosen = torch.arange(len(self.seed))[index].tolist()
        return replace(self, seed=tuple(self.seed[i] for i in chosen))

    @property
    def _seeds(self) -> tuple[int, ...]:
        return self.seed if isinstance(self.seed, tuple) else (self.seed,)

    @cached_property
    def _directions(self) -> Float64[Tensor, "*b m d"]:
        d = math.prod(self.shape)
        found = {seed: orthonormal_rows(self.count, d, seed) for seed in set(self._seeds)}
        all_of = torch.stack([found[seed] for seed in self._seeds])
        return all_of if isinstance(self.seed, tuple) else all_of[0]


def orthonormal_rows(count: int, d: int, seed: int) -> Float64[Tensor, "count d"]:
    """Orthonormal random rows, uniform over directions.

    Args:
        count: of rows.
        d: numbers of a row, at least as many.
        seed: a whole number of 0 or more.
    """
    generator = np.random.Generator(np.random.SFC64(int(seed)))
    normal = torch.from_numpy(generator.standard_normal((d, count)))
    q, r = torch.linalg.qr(normal)

    # The signs of Q differ between libraries; those of a positive diagonal of R are unique.
    rows: Tensor = (q * r.diagonal().sign()).mT
    return rows.contiguous()


def _times(matrix: Float[Tensor, "*b m d"], flat: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
    if matrix.ndim == 2:
        return flat @ matrix.to(flat).mT
    return (matrix.to(flat) @ flat[..., None])[..., 0]
