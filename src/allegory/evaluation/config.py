"""The choices of an evaluation."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ..likelihood.bound import MAX_DRAWS
from ..lookup import check_count
from ..progress import OnProgress
from ..sampling.driver import OnStep
from ..sampling.rows import RowSampler
from ..sampling.sampler import Sampler
from ..sampling.tokens import TokenSampler

MAX_SAMPLES = 1_000_000
"""The largest number of samples."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What `evaluate` computes, and how.

    Args:
        seed: item i of the test set and sample i draw from seed + i.
        draws: evaluations of the network per item for each bound.
        samples: number of samples; each class equally often where there are several.
        compared: so many test items are evaluated by every bound that the model has; 0 for no
            comparison.
        importance: importance weights per compared item. None is 50, or 0 for a model in continuous
            time, where one weight takes 100 evaluations.
        sampler: how a model with steps is sampled; None for its default.
        limit: at most so many test items are measured; None measures all.
        reference: whether the training set is used for a reference: its histogram, its distances
            from the test set, and a classifier's accuracy. False where its items are test items.

    `limit` and `compared` choose at random, but always the same items (`data.splits.subset`).

    Raises:
        ValueError: for fewer than two samples or items, negative numbers, and numbers that no
            machine can hold.
    """

    seed: int = 0
    draws: int = 32
    samples: int = 500
    compared: int = 200
    importance: int | None = None
    sampler: Sampler | TokenSampler | RowSampler | None = None
    limit: int | None = None
    reference: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        check_count("seed", self.seed, 0, 2**63 - 1 - MAX_SAMPLES)
        check_count("draws", self.draws, 1, MAX_DRAWS)
        check_count("samples", self.samples, 2, MAX_SAMPLES)
        if self.compared != 0:
            check_count("compared", self.compared, 2, sys.maxsize)
        if self.importance is not None:
            check_count("importance", self.importance, 0, MAX_DRAWS)
        if self.limit is not None:
            check_count("limit", self.limit, 2, sys.maxsize)


@dataclass(frozen=True)
class BoundConfig:
    """How a bound over a set of items is estimated.

    Args:
        seed: item i draws from seed + i.
        draws: evaluations of the network per item.
        steps: the model with so many steps; None for continuous time, and for models that have no
            steps.
        labelled: log p(x | condition), for example the label, in place of log p(x).

    Raises:
        ValueError: for numbers that mean nothing, or that no machine can hold.
    """

    seed: int = 0
    draws: int = 32
    steps: int | None = None
    labelled: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        check_count("draws", self.draws, 1, MAX_DRAWS)
        if self.steps is not None:
            check_count("steps", self.steps, 1, MAX_DRAWS)


def stage(on_progress: OnProgress | None, name: str) -> OnStep | None:
    """on_step(done, total) that calls `on_progress` with this `name`; None for None."""
    if on_progress is None:
        return None
    return lambda done, total: on_progress(name, done, total)
