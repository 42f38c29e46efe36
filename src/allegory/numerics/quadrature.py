r"""Gauss-Legendre quadrature: n nodes integrate every polynomial of degree 2 n - 1 exactly.

int_a^b f(x) dx  =  sum_i w_i f(x_i)
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def gauss_legendre(
    count: int, start: float = 0.0, end: float = 1.0
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The nodes and weights of the rule on [start, end].

    Args:
        count: how many nodes, at least 1.
        start: the lower end of the interval.
        end: the upper end.

    Returns:
        Nodes in rising order, and weights, which add up to end - start; both (count,), float64.
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    half = (end - start) / 2

    return torch.from_numpy(start + half * (nodes + 1)), torch.from_numpy(half * weights)
