"""The initial noise of every sampler."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ..lookup import check_type, refuse_number
from ..process.noise import Noise, Stream
from ..process.path import Path, check_path


def initial_noise(
    path: Path, shape: Sequence[int], seeds: Sequence[int]
) -> Float[Tensor, "b *shape"]:
    """x_T ~ N(0, prior_std^2 I), item i from seeds[i] (Luo 2022, eq. 33).

    Args:
        path: gives prior_std, the standard deviation at t = 1.
        shape: the shape of one item.
        seeds: one integer per item.

    Returns:
        Shape (b, *shape), float32, on the CPU.

    Raises:
        ValueError: for no seeds, and values of another kind.
    """
    check_path(path)
    check_type("shape", shape, Sequence, "the shape of one item, e.g. (1, 8, 8)")
    refuse_number(seeds)
    if len(seeds) == 0:
        raise ValueError("seeds: empty; give one integer per item")
    return path.prior_std * Noise(seeds, shape, Stream.START).draw()
