"""Parameters of a simulator with what each leads to, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from .support import Array


@dataclass(frozen=True, eq=False)
class Simulations:
    """Simulated pairs.

    Args:
        theta: parameters.
        x: m observations of each.
    """

    theta: Float64[Array, "n d"]
    x: Float64[Array, "n m k"]

    @classmethod
    def of(cls, theta: Any, x: Any) -> Simulations:
        """Those of finite numbers; one observation of each may be a row."""
        rows, found = matrix("theta", theta), numbers("x", x)
        found = found[:, None] if found.ndim == 2 else found

        if found.ndim != 3 or not found.size or not np.isfinite(found).all():
            raise ValueError(
                f"x: shape {found.shape}; give finite numbers, (n, k) or m of each (n, m, k)"
            )

        if len(found) != len(rows):
            raise ValueError(f"x: {len(found)} rows for {len(rows)} of theta; give as many")
        return cls(rows, found)


def numbers(name: str, value: Any) -> Array:
    """An array of numbers."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; give an array of numbers") from None


def matrix(name: str, value: Any) -> Array:
    """Rows of finite numbers."""
    array = numbers(name, value)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"{name}: shape {array.shape}; give finite numbers, a row of each pair")
    return array
