"""Sequences that are made from a law."""

from __future__ import annotations

import numpy as np
import torch

from ..lookup import check_count
from .dataset import Dataset
from .items import Items
from .spec import DataSpec
from .splits import split

_LENGTH, _PERIOD = 20, 5


def heartbeat_bits(*, count: int = 5000, seed: int = 0) -> Dataset:
    """Sequences of 20 bits, every fifth of them 1, which begin anywhere in the period.

    The first data set of Sohl-Dickstein et al. 2015 (section 3.1.2): five sequences, alike in
    probability, with an entropy of log2 5 = 2.322 bits.

    Args:
        count: how many sequences.
        seed: of their draw.

    Raises:
        ValueError: for fewer than 100, or more than a million.
    """
    check_count("count", count, 100, 10**6)
    phase = np.random.default_rng(seed).integers(_PERIOD, size=count)
    x = (np.arange(_LENGTH) + phase[:, None]) % _PERIOD == 0

    spec = DataSpec(shape=(_LENGTH,), low=0.0, high=1.0, levels=2)
    items = Items(torch.from_numpy(x.astype(np.uint8)))
    tenth = count // 10
    return Dataset("heartbeat", spec, *split(items, validation=tenth, test=tenth))
