"""Fit a diffusion model to a table within a budget of time and steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from jaxtyping import Float64
from torch import Tensor

from ..data import Dataset
from ..evaluation.table_neighbours import Nearness, nearness
from ..models.table import TableDiffusion
from ..recipes.config import Run
from ..recipes.execute import Built, train_in
from ..recipes.table_diffusion import TableDiffusionConfig
from ..recipes.tables import table_training
from ..sampling.rows import RowSampler
from ..training import Processes, Result, bar

_BATCH = 256
_CHECKING = 0.05
"""The fraction of the time that is left for what follows training."""
_LEAST_SECONDS = 0.5
"""Of training, where fitting the mixture took all the time."""
_SAMPLED = 200
"""Samples, and validation rows, whose distances to training rows are compared."""
_STEPS = 50
"""Of those samples."""
_COMPARED = 2000
"""Validation rows by which the trained model and the mixture are compared."""
_DRAWS = 8
_REFITTED = 2000
"""Training rows below which a mixture that is used alone is fitted to the validation rows too."""
_LEAST_HELD_OUT = 20
_MOST_HELD_OUT = 10_000


@dataclass(frozen=True)
class Budget:
    """The budget of a fit, which begins when this is made.

    Args:
        minutes: of everything; None for no limit.
        steps: of training; None for no limit.

    Raises:
        ValueError: without a limit, and for one that is not above 0.
    """

    minutes: float | None
    steps: int | None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise ValueError("minutes=None, max_steps=None: fit needs a budget; give one or both")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"minutes={self.minutes}: give a number above 0, or None")

    def choice(self, choice: TableDiffusionConfig | None) -> TableDiffusionConfig:
        """A choice of a model, by default one whose mixture is fitted in a part of the time.

        Without a budget of time, nothing depends on the clock.
        """
        if choice is not None:
            return choice
        return TableDiffusionConfig().within(self.minutes)

    @property
    def training_minutes(self) -> float | None:
        """The minutes that are left for training."""
        if self.minutes is None:
            return None
        spent = time.monotonic() - self.began
        left = 60 * self.minutes * (1 - _CHECKING) - spent
        return max(left, _LEAST_SECONDS) / 60


@dataclass(frozen=True, eq=False)
class FittedTable:
    """A fitted model.

    Args:
        model: the model, in float64.
        run: its choices.
        steps: of training.
        is_trained: whether the network is better than the mixture alone.
        nearness: how near samples and validation rows are to training rows.
    """

    model: TableDiffusion
    run: Run
    steps: int
    is_trained: bool
    nearness: Nearness

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence where samples may repeat training rows."""
        if not self.nearness.is_memorised:
            return ()
        return (
            f"samples may repeat training rows: {self.nearness}; give more rows, or fewer "
            "max_steps",
        )


def fit_table(
    dataset: Dataset, choice: TableDiffusionConfig | None, budget: Budget, seed: int
) -> FittedTable:
    """The better of a trained model and of its mixture alone, by the bound of validation rows.

    Args:
        dataset: a table.
        choice: of the model; None for the defaults.
        budget: of time and steps.
        seed: of weights, noise, and the order of the rows.
    """
    run, model = _built(dataset, budget.choice(choice), budget, seed)
    begin = {name: weight.clone() for name, weight in model.denoise.network.state_dict().items()}
    result = _trained(Built(run, model, dataset))

    model.load_state_dict(result.best.state_dict())
    model.double().eval()

    is_trained = _choose(model, begin, dataset)
    near = nearness_of(model, dataset)
    if not is_trained and len(dataset.train) < _REFITTED:
        cast(TableDiffusionConfig, run.model).refit(model, dataset)
    return FittedTable(model, run, result.step, is_trained, near)


def nearness_of(model: TableDiffusion, dataset: Dataset) -> Nearness:
    """How near samples of a model, and validation rows, are to the rows that it learned from.

    Args:
        model: the model.
        dataset: what it learned.
    """
    schema = model.spec.table
    assert schema is not None, "a model of a table has columns"
    held_out = dataset.validation.x[:_SAMPLED].double()
    rows = held_out.repeat(-(-_SAMPLED // len(held_out)), 1)[:_SAMPLED]

    none = torch.zeros_like(rows).bool()
    samples = model.infill(rows, none, range(len(rows)), RowSampler(_STEPS))
    return nearness(samples, held_out, dataset.train.x, schema)


def _built(
    dataset: Dataset, choice: TableDiffusionConfig, budget: Budget, seed: int
) -> tuple[Run, TableDiffusion]:
    """The model with its mixture fitted, and a run for the time that is left."""
    training = table_training(budget.minutes, budget.steps, len(dataset.train))
    training = replace(training, seed=seed, device="cpu")
    run = Run("table", "", choice, training).resolved(dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = cast(TableDiffusion, run.build_model(dataset))

    left = replace(training, minutes=budget.training_minutes)
    return replace(run, training=left), model


def _trained(built: Built) -> Result:
    with bar(built.run.unit) as show:
        return train_in(None, built, Processes("cpu"), [show])


def _choose(model: TableDiffusion, begin: dict[str, Tensor], dataset: Dataset) -> bool:
    """Whether the trained network stays; else the model has that of the beginning, which adds
    nothing to the mixture.

    Args:
        model: the trained model.
        begin: the weights of its network before training.
        dataset: the table.
    """
    rows = dataset.validation.x[:_COMPARED]
    network = model.denoise.network
    end = {name: weight.clone() for name, weight in network.state_dict().items()}

    trained = _bounds(model, rows)
    network.load_state_dict(begin)
    is_better = bool((trained - _bounds(model, rows)).mean() > 0)
    if is_better:
        network.load_state_dict(end)

    return is_better


def _bounds(model: TableDiffusion, rows: Tensor) -> Float64[Tensor, " n"]:
    """The bound of each row, with the same noise each time."""
    parts = rows.split(_BATCH)
    firsts = range(0, len(rows), _BATCH)
    return torch.cat(
        [
            model.bound(part, seeds=range(first, first + len(part)), draws=_DRAWS).total.double()
            for first, part in zip(firsts, parts, strict=True)
        ]
    )


def held_out_of(count: int) -> int:
    """How many rows are for validation: a tenth, from 20 to 10,000, but a third at most.

    Args:
        count: how many rows there are.
    """
    return min(max(_LEAST_HELD_OUT, count // 10), _MOST_HELD_OUT, count // 3)
