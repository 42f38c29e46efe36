"""The choices of a calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...lookup import check_count
from ...sampling.sampler import Sampler
from .quantities import Quantity

MAX_DRAWS_IN_ALL = 10**8
FEWEST_ITEMS = 30
"""Below, p-values from the chi-square and normal distributions are no good."""


@dataclass(frozen=True)
class CalibrationConfig:
    """What `calibrate` does.

    Args:
        method: a method or its name (`inverse.POSTERIOR_METHODS`), or a function (measurement,
            seeds) -> one draw per measurement, in model space.
        items: how many items are measured.
        draws: posterior draws per item, each from a population of its own.
        sampler: steps, spacing, end, scaling and guides of the items' chain, which is "ddpm", and
            of the method; its solver is that of methods that are guides.
        prior: (seeds) -> one draw from the prior per seed, in place of the chain.
        seed: calibrations of different seeds have no random number in common.
        level: the probability with which an exact method is rejected, over all tests.
        projections: how many random projections are ranked.
        quantities: further functions (x, measurement) -> one number per item, by name.
        score: whether the kernel Stein discrepancy is computed.
        batch: posterior draws that are made at once.
        task: what is measured, for the report; "" for the operator's own name.

    Raises:
        ValueError: for numbers that mean nothing, or that no machine can hold.
    """

    method: Any = "mmps"
    items: int = 300
    draws: int = 15
    sampler: Sampler = field(default_factory=lambda: Sampler("ddpm", 50))
    prior: Callable[[Sequence[int]], Tensor] | None = None
    seed: int = 0
    level: float = 0.01
    projections: int = 4
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    score: bool = True
    batch: int = 250
    task: str = ""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        check_count("items", self.items, FEWEST_ITEMS, 10**7)
        check_count("draws", self.draws, 3, 10_000)
        check_count("items * draws", self.items * self.draws, 1, MAX_DRAWS_IN_ALL)
        check_count("seed", self.seed, 0, 2**30)
        check_count("projections", self.projections, 0, 1000)
        check_count("batch", self.batch, 1, 10**7)
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level}; give a probability between 0 and 1, e.g. 0.01")
