"""Functions f(x, y) of an item and its measurement, whose ranks are compared.

Functions of x alone have uniform ranks for every method whose draws have the right distribution
over all y together, such as one that draws from the prior and ignores y. The log-likelihood of y
does not (Modrak et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...inverse.measurement import Measurement

Quantity = Callable[[Tensor, Measurement], Tensor]
"""(x, measurement) -> one number per item."""


def default_quantities(
    shape: Sequence[int], projections: int = 4, seed: int = 0
) -> dict[str, Quantity]:
    """Random projections of x, its norm, and log p(y | x).

    Args:
        shape: the shape of an item.
        projections: how many directions, drawn uniformly from the sphere.
        seed: seed of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Quantity] = {}
    for number in range(1, projections + 1):
        direction = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
        found[f"projection {number}"] = _projection(direction / direction.norm())

    return found | {"norm": _norm, "log-likelihood": _log_likelihood}


def _projection(direction: Float[Tensor, "*shape"]) -> Quantity:
    def project(x: Tensor, measurement: Measurement) -> Tensor:
        return (x * direction.to(x)).flatten(1).sum(1)

    return project


def _norm(x: Tensor, measurement: Measurement) -> Tensor:
    length: Tensor = x.flatten(1).norm(dim=1)
    return length


def _log_likelihood(x: Tensor, measurement: Measurement) -> Tensor:
    return measurement.log_likelihood(x)


def values(
    quantities: Mapping[str, Quantity],
    x: Float[Tensor, "n *shape"],
    measurement: Measurement,
) -> dict[str, Float[Tensor, " n"]]:
    """Each function of each item, by name, in float64.

    Args:
        quantities: the functions.
        x: items, one per measurement.
        measurement: of each item.

    Raises:
        ValueError: for a function that does not give one number per item.
    """
    x = x.double()
    precise = measurement.to(x)
    found = {}
    with torch.no_grad():
        for name, function in quantities.items():
            value = function(x, precise)
            if value.shape != x.shape[:1]:
                raise ValueError(
                    f"quantities: {name!r} gave shape {tuple(value.shape)} for {len(x)} items; "
                    "return one number per item"
                )
            found[name] = value.double()

    return found
