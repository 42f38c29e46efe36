"""The choices of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from ..progress import OnProgress
from ..sampling.driver import OnStep
from ..sampling.sampler import Sampler


@dataclass(frozen=True)
class EvaluationConfig:
    """What `evaluate` computes, and how.

    Args:
        seed: item i of the test set and sample i draw from seed + i.
        draws: evaluations of the network per item for each bound.
        samples: number of samples; each class equally often where there are several.
        compared: the first so many test items are evaluated by every bound that the model has; 0
            for no comparison.
        importance: importance weights per compared item. None is 50, or 0 for a model in continuous
            time, where one weight takes 100 evaluations.
        sampler: how a model with steps is sampled; None for its default.

    Raises:
        ValueError: for fewer than two samples, one compared item, or negative numbers.
    """

    seed: int = 0
    draws: int = 32
    samples: int = 500
    compared: int = 200
    importance: int | None = None
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.samples < 2:
            raise ValueError(f"samples={self.samples}; give at least 2")
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}; give at least 1")
        if self.compared < 0 or self.compared == 1:
            raise ValueError(
                f"compared={self.compared}; give 0, for no comparison, or at least 2 items"
            )
        if self.seed < 0 or (self.importance is not None and self.importance < 0):
            raise ValueError(
                f"importance={self.importance}, seed={self.seed}; give no negative number"
            )


@dataclass(frozen=True)
class BoundConfig:
    """How a bound over a set of items is estimated.

    Args:
        seed: item i draws from seed + i.
        draws: evaluations of the network per item.
        steps: the model with so many steps; None for continuous time, and for models that have no
            steps.
        labelled: log p(x | label) in place of log p(x).
    """

    seed: int = 0
    draws: int = 32
    steps: int | None = None
    labelled: bool = False


def stage(on_progress: OnProgress | None, name: str) -> OnStep | None:
    """on_step(done, total) that calls `on_progress` with this `name`; None for None."""
    if on_progress is None:
        return None
    return lambda done, total: on_progress(name, done, total)
