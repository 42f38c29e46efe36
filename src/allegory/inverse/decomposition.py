r"""The singular value decomposition of a linear measurement.

    A = U S V^T        z = V^T x,   U^T y = S z + U^T n

In the coordinates z the measurement is one number at a time: y_i = s_i z_i + n_i, of which y_i/s_i
is the measured value of z_i, with the standard deviation std_i/s_i; where s_i = 0, and in the
complement of the span of V, nothing is measured.

A diagonal operator (identity, mask, number-by-number scale) needs no decomposition. Any other is
applied to the basis of the items, and the matrix is decomposed in float64. Noise that differs
between the numbers of y is made 1 first, by dividing the rows of the matrix by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .measurement import Measurement
from .operators.base import LinearOperator

_MOST_NUMBERS = 2**22
"""The largest matrix, in numbers over all items."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A measurement in the coordinates z = V^T x of its operator.

    Args:
        values: the singular values, (b, k), 0 where nothing is measured.
        measured: y_i/s_i, the measured value of each coordinate, (b, k), 0 where nothing is.
        variance: of the noise of a measured value, (b, k).
        basis: V, (1 or b, d, k); None where the coordinates are the numbers of the item.
    """

    values: Float[Tensor, "b k"]
    measured: Float[Tensor, "b k"]
    variance: Float[Tensor, "b k"]
    basis: Float[Tensor, "r d k"] | None = None

    @property
    def std(self) -> Float[Tensor, "b k"]:
        """The standard deviation of a measured value."""
        return self.variance.sqrt()

    def as_like(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The singular values, the standard deviations and the measured values, in the precision
        and on the device of `x`.
        """
        return self.values.to(x), self.std.to(x), self.measured.to(x)

    def coordinates(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b k"]:
        """V^T x."""
        flat = x.flatten(1)
        if self.basis is None:
            return flat
        return (self.basis.to(x).mT @ flat[..., None])[..., 0]

    def item(
        self, z: Float[Tensor, "b k"], like: Float[Tensor, "b *shape"]
    ) -> Float[Tensor, "b *shape"]:
        """V z, in the shape of `like`."""
        flat = z if self.basis is None else (self.basis.to(z) @ z[..., None])[..., 0]
        return flat.view_as(like)


def decompose(measurement: Measurement) -> Decomposition:
    """The measurement in the coordinates of its operator.

    Args:
        measurement: of a linear operator, with Gaussian noise.

    Raises:
        ValueError: for another operator or noise, a matrix of more than 2^22 numbers, and noise
            that is 0 for some numbers of y only.
    """
    operator = measurement.linear
    variance = measurement.variance.double()
    y = measurement.y.double()

    diagonal = operator.diagonal
    if diagonal is not None:
        values = diagonal.flatten(1)
        return _divided(values, y.flatten(1), variance.expand(y.shape).flatten(1), None)

    matrix = dense(operator, len(measurement))
    flat, std = y.flatten(1), variance.expand(y.shape).flatten(1).sqrt()
    if bool((std != std[:, :1]).any()):
        if not bool((std > 0).all()):
            raise ValueError(
                "noise: 0 for some numbers of y and not for others; give one standard deviation, "
                "or positive ones"
            )
        matrix, flat = matrix / std[..., None], flat / std
        std = torch.ones_like(std)

    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    size = torch.finfo(values.dtype).eps * max(matrix.shape[-2:]) * values[:, :1]
    values = values.where(values > size, torch.zeros_like(values))

    coordinates = (left.mT @ flat[..., None])[..., 0]
    return _divided(values, coordinates, std[:, :1].square(), right.mT)


def _divided(values: Tensor, y: Tensor, variance: Tensor, basis: Tensor | None) -> Decomposition:
    """y/s and variance/s^2, 0 where s = 0."""
    values = values.to(y).expand(len(y), -1)
    seen = values > 0 if basis is not None else values != 0
    divisor = values.where(seen, torch.ones_like(values))
    measured = (y / divisor).where(seen, torch.zeros_like(y))
    return Decomposition(values.abs(), measured, variance / divisor.square(), basis)


def dense(operator: LinearOperator, count: int) -> Float[Tensor, "r m d"]:
    """The matrix of an operator over flattened items, in float64: one, or one per item.

    Args:
        operator: the operator.
        count: the number of items.

    Raises:
        ValueError: for matrices of more than 2^22 numbers.
    """
    items = 1 if operator.rows([0]) is operator else count
    d, m = math.prod(operator.shape), math.prod(operator.measured_shape)
    if items * d * m > _MOST_NUMBERS:
        raise ValueError(
            f"operator {type(operator).__name__}: {items} matrices of {m} x {d} numbers are too "
            f"large for a singular value decomposition (at most {_MOST_NUMBERS:,} numbers); take "
            "pigdm, mmps or diffpir, or smaller batches where every item has its own operator"
        )

    basis = torch.eye(d, dtype=torch.float64).view(d, *operator.shape)
    if items == 1:
        return operator(basis).reshape(1, d, m).mT.contiguous()
    columns = [operator(each.expand(count, *operator.shape)).flatten(1) for each in basis]
    return torch.stack(columns, 2)
