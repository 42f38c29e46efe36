r"""The square root of a symmetric matrix times a vector, by products with the matrix alone.

After k products of M with the Lanczos vectors q_1..q_k, of which the first is v/|v|,
Q^T M Q = T is tridiagonal, and

    M^(1/2) v  ~  |v| Q T^(1/2) e_1

(Lanczos 1950; Chow & Saad 2014). It is exact once k is the number of distinct eigenvalues of M. The
vectors are kept orthogonal by Gram-Schmidt twice. Each item of a batch stops by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

_COMPLETE = 1e-10
"""Where what a product adds to the space is below this, relative, the space is complete."""


def root_product(
    product: Callable[[Tensor], Tensor],
    v: Float[Tensor, "b *shape"],
    *,
    tolerance: float = 1e-6,
    most: int | None = None,
) -> Float[Tensor, "b *shape"]:
    """M^(1/2) v of each item of a batch.

    Args:
        product: u -> M u with M symmetric and of no negative eigenvalue, for a batch like v.
        v: the vectors.
        tolerance: the relative change between two steps at which an item stops.
        most: the largest number of products; None for as many as an item has numbers.
    """
    flat = v.flatten(1)
    count, dims = flat.shape
    most = dims if most is None else min(most, dims)

    norm = flat.norm(dim=1, keepdim=True)
    basis = [flat / norm.where(norm > 0, torch.ones_like(norm))]
    tridiagonal = flat.new_zeros(count, most, most)
    root = torch.zeros_like(flat)
    active = norm[:, 0] > 0

    for k in range(most):
        w, size, tridiagonal[:, k, k] = _next(product(basis[k].view_as(v)).flatten(1), basis)
        found = norm * _first_column(tridiagonal[:, : k + 1, : k + 1], basis)

        change = (found - root).norm(dim=1)
        root = torch.where(active[:, None], found, root)
        length = w.norm(dim=1)
        active = active & (change > tolerance * root.norm(dim=1)) & (length > _COMPLETE * size)
        if k + 1 == most or not bool(active.any()):
            break

        length = length.where(active, torch.ones_like(length))
        tridiagonal[:, k, k + 1] = length * active
        tridiagonal[:, k + 1, k] = length * active
        basis.append(w * active[:, None] / length[:, None])

    return root.view_as(v)


def _next(w: Tensor, basis: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What a product w adds to the basis, the size of w, and its part along the newest vector."""
    size = w.norm(dim=1)
    along = (w * basis[-1]).sum(1)

    space = torch.stack(basis, 1)
    for _ in range(2):
        w = w - torch.einsum("bk,bkd->bd", torch.einsum("bkd,bd->bk", space, w), space)
    return w, size, along


def _first_column(tridiagonal: Tensor, basis: list[Tensor]) -> Tensor:
    """Q T^(1/2) e_1; eigenvalues that rounding makes negative are 0."""
    values, vectors = torch.linalg.eigh(tridiagonal)
    roots = values.clamp_min(0).sqrt()
    column = torch.einsum("bij,bj,bj->bi", vectors, roots, vectors[:, 0])
    return torch.einsum("bk,bkd->bd", column, torch.stack(basis, 1))
