r"""The trace of a Jacobian, by vector-Jacobian products on one forward pass.

    exact       tr J = sum_i e_i^T J e_i                  one product per dimension
    Rademacher  tr J = E[v^T J v],  v_i = +1 or -1        one product per probe (Hutchinson 1990)

v^T J v depends on the symmetric part S = (J + J^T)/2 alone, and its variance is
2 sum_{i != j} S_ij^2: the diagonal, where v_i^2 = 1, adds none. So Rademacher probes have the least
variance of all probes with independent entries, and a diagonal Jacobian needs one. The probes of an
item stay the same throughout a solve: the right-hand side of an adaptive integrator has to be a
function.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

_PRODUCTS_PER_PASS = 64
"""Vector-Jacobian products that are computed at a time."""


def rademacher_probes(
    draw: Callable[[Tensor], Tensor], count: int, like: Float[Tensor, "b *shape"]
) -> Float[Tensor, "probes b *shape"]:
    """`count` probes per item: the signs of standard-normal draws.

    Args:
        draw: standard-normal noise in the shape, dtype and device of a tensor, e.g.
            `Noise(...).draw`.
        count: how many probes per item.
        like: the data, whose shape and dtype the probes take.
    """
    return torch.stack([torch.where(draw(like) < 0, -1.0, 1.0).to(like) for _ in range(count)])


def traces(
    y: Float[Tensor, "b *shape"],
    x: Float[Tensor, "b *shape"],
    probes: Float[Tensor, "probes b *shape"] | None,
    *,
    create_graph: bool = False,
) -> Float[Tensor, "b k"]:
    """tr dy/dx per item.

    Args:
        y: a function of x, item by item.
        x: where autograd recorded it.
        probes: random vectors, one estimate each; None for the exact trace.
        create_graph: whether the result can be differentiated in turn.

    Returns:
        One column per probe, or one column with the exact trace.

    Raises:
        ValueError: when y does not depend on x for autograd.
    """
    if not y.requires_grad:
        raise ValueError(
            "predict: its output has no gradient with respect to x_t; "
            "take no_grad and detach out of it"
        )
    if probes is not None:
        products = [_products(y, x, v[None], create_graph)[0] for v in probes]
        estimates = [
            (product * v).flatten(1).sum(1) for product, v in zip(products, probes, strict=True)
        ]
        return torch.stack(estimates, 1)

    axes = torch.arange(x[0].numel(), device=x.device).split(_PRODUCTS_PER_PASS)
    parts = [_diagonal(y, x, some, create_graph) for some in axes]

    return torch.cat(parts).sum(0)[:, None]


def _diagonal(y: Tensor, x: Tensor, axes: Tensor, create_graph: bool) -> Float[Tensor, "axes b"]:
    """dy_i/dx_i for these entries i of a flattened item."""
    basis = torch.zeros(len(axes), x[0].numel(), dtype=y.dtype, device=y.device)
    basis[torch.arange(len(axes), device=x.device), axes] = 1
    vectors = basis[:, None].expand(-1, len(x), -1).reshape(len(axes), *x.shape)

    rows = _products(y, x, vectors, create_graph).flatten(2)
    return (rows * basis[:, None]).sum(2)


def _products(y: Tensor, x: Tensor, vectors: Tensor, create_graph: bool) -> Tensor:
    """v^T dy/dx for each v; the graph of the forward pass is retained."""
    if len(vectors) == 1:
        (row,) = torch.autograd.grad(
            y, x, vectors[0], retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return row[None]

    (rows,) = torch.autograd.grad(
        y,
        x,
        vectors,
        retain_graph=True,
        create_graph=create_graph,
        is_grads_batched=True,
        materialize_grads=True,
    )
    return rows
