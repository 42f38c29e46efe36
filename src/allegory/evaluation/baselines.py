"""What a likelihood is compared with: models that need no training to speak of."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from ..data.dataset import Items
from ..data.spec import DataSpec
from ..process.bound import Estimate, estimate

BATCH = 1000


def pixel_histogram(train: Items, test: Items, spec: DataSpec) -> Estimate:
    """Bits/dim of `test` when each number is coded alone, by its own histogram over `train`.

    p_i(v) = (1 + #{train items with x_i = v}) / (levels + n): add-one smoothing (Laplace), so that
    no value is impossible. The standard error is over test items. ValueError for continuous data.
    """
    if spec.levels is None:
        raise ValueError(
            "levels=None: a histogram codes discrete data; continuous data have no bits/dim to "
            "compare"
        )
    counts = torch.zeros(spec.dims * spec.levels, dtype=torch.int64)
    for raw in train.x.split(BATCH):
        counts += torch.bincount(_cells(raw, spec, spec.levels).flatten(), minlength=len(counts))
    bits = math.log2(spec.levels + len(train)) - (1.0 + counts.double()).log2()
    return estimate(
        torch.cat([bits[_cells(raw, spec, spec.levels)].mean(1) for raw in test.x.split(BATCH)])
    )


def _cells(raw: Tensor, spec: DataSpec, levels: int) -> Int64[Tensor, "b dims"]:
    """A number for each pair (place in the item, level)."""
    return spec.index(raw).flatten(1) + levels * torch.arange(spec.dims)
