"""Baselines of a likelihood: models that need next to no training."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from ..data.dataset import Items
from ..data.spec import DataSpec
from ..process.bound import Estimate, estimate

_BATCH = 1000


def pixel_histogram(train: Items, test: Items, spec: DataSpec) -> Estimate:
    """Bits/dim of `test` when each number is coded alone, by its own histogram over `train`.

    p_i(v) = (1 + #{train items with x_i = v}) / (levels + n): add-one smoothing (Laplace), so that
    no value is impossible.

    Args:
        train: the items that are counted.
        test: the items that are coded.
        spec: what the data are; they have levels.

    Returns:
        Mean and standard error over test items.

    Raises:
        ValueError: for continuous data.
    """
    if spec.levels is None:
        raise ValueError(
            "levels=None: a histogram codes discrete data; continuous data have no bits/dim to "
            "compare"
        )

    counts = torch.zeros(spec.dims * spec.levels, dtype=torch.int64)
    for raw in train.x.split(_BATCH):
        counts += torch.bincount(_cells(raw, spec, spec.levels).flatten(), minlength=len(counts))

    bits = math.log2(spec.levels + len(train)) - (1.0 + counts.double()).log2()
    return estimate(
        torch.cat([bits[_cells(raw, spec, spec.levels)].mean(1) for raw in test.x.split(_BATCH)])
    )


def _cells(raw: Tensor, spec: DataSpec, levels: int) -> Int64[Tensor, "b dims"]:
    """A number for each pair (place in the item, level) of the items."""
    return spec.index(raw).flatten(1) + levels * torch.arange(spec.dims)
