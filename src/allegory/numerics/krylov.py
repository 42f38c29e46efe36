r"""Linear equations by products with the matrix alone: GMRES (Saad & Schultz 1986), for batches.

After k products v_1..v_k is an orthonormal basis of span(b, M b, ..., M^(k-1) b) and
M V_k = V_(k+1) H. The solution is V_k z with z the least-squares solution of H z = |b| e_1: the
smallest residual in that space. For a symmetric M that is singular and a b in its range it is the
solution of smallest norm, M^+ b.

Each item of the batch stops by itself: its solution does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""v -> M v, for a batch of vectors of any shape; linear in each item by itself."""

_BREAKDOWN = 1e-13
"""Where what a product adds to the space is below this, relative, the space is complete."""
_RANK = 1e-12
"""Singular values of H below this, relative to the largest, are taken to be zero."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The solution of M x = b.

    Args:
        x: like b.
        residual: |b - M x| / |b| of each item; 0 where b is 0.
        products: the number of products with M that each item took.
        converged: whether the residual is at most the tolerance, or the smallest possible.
    """

    x: Float[Tensor, "b *shape"]
    residual: Float[Tensor, " b"]
    products: Int[Tensor, " b"]
    converged: Bool[Tensor, " b"]


def gmres(
    product: Product,
    b: Float[Tensor, "b *shape"],
    *,
    tolerance: float = 1e-6,
    most: int | None = None,
) -> Solved:
    """The solution of M x = b for each item of a batch.

    Args:
        product: v -> M v, for a batch like b.
        b: the right-hand sides.
        tolerance: the relative residual at which an item stops.
        most: the largest number of products; None for as many as an item has numbers.

    Returns:
        The solution of each item.
    """
    right = b.flatten(1)
    count, dims = right.shape
    most = dims if most is None else min(most, dims)
    norm = right.norm(dim=1)
    safe = norm.where(norm > 0, torch.ones_like(norm))

    basis = [right / safe[:, None]]
    hessenberg = right.new_zeros(count, most + 1, most)
    solution = torch.zeros_like(right)
    residual = (norm > 0).to(right)
    products = torch.zeros(count, dtype=torch.long, device=right.device)
    active = norm > 0
    complete = ~active

    for k in range(most):
        if not bool(active.any()):
            break
        w = product(basis[k].view_as(b)).flatten(1)
        w, size = _orthogonal(w, basis, hessenberg, k)

        new = w.norm(dim=1)
        ended = new <= _BREAKDOWN * size
        new = new.where(~ended, torch.zeros_like(new))
        hessenberg[:, k + 1, k] = new
        basis.append(w / new.where(new > 0, torch.ones_like(new))[:, None])

        z, rest = _least_squares(hessenberg[:, : k + 2, : k + 1])
        found = torch.stack(basis[: k + 1], 1).mul(z[..., None]).sum(1) * safe[:, None]
        solution = torch.where(active[:, None], found, solution)
        residual = torch.where(active, rest, residual)
        products += active

        complete = complete | (active & (ended | (rest <= tolerance)))
        active = active & ~complete

    return Solved(solution.view_as(b), residual, products, complete)


def _orthogonal(
    w: Tensor, basis: list[Tensor], hessenberg: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """What is orthogonal to the basis, by Gram-Schmidt twice, and the size of the product.

    The coefficients are added to column k of `hessenberg`.
    """
    size = w.norm(dim=1)
    space = torch.stack(basis, 1)
    for _ in range(2):
        part = torch.einsum("bkd,bd->bk", space, w)
        w = w - torch.einsum("bk,bkd->bd", part, space)
        hessenberg[:, : k + 1, k] += part
    return w, size


def _least_squares(h: Float[Tensor, "b rows k"]) -> tuple[Tensor, Tensor]:
    """z that minimises |H z - e_1|, and that distance."""
    target = torch.zeros(len(h), h.shape[1], 1, dtype=h.dtype, device=h.device)
    target[:, 0] = 1.0
    rank = max(_RANK, h.shape[1] * torch.finfo(h.dtype).eps)
    z = torch.linalg.pinv(h, rtol=rank) @ target
    return z[..., 0], (h @ z - target)[..., 0].norm(dim=1)
