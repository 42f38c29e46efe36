"""Numbers in double precision, wherever they are."""

from __future__ import annotations

from jaxtyping import Float64, Shaped
from torch import Tensor


def double(x: Shaped[Tensor, "*any"]) -> Float64[Tensor, "*any"]:
    """x in float64, on the CPU where the device has none (mps)."""
    return (x.cpu() if x.device.type == "mps" else x).double()
