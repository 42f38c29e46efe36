"""Runs of two stages: another model is trained first, in a folder of the run.

    OUT/autoencoder    the first stage, a run of its own
    OUT                the second, which begins with its weights

A config of two stages has `first_stage` and `begin`. Where the first stage was interrupted, the
same command goes on with it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ..data import Dataset
from ..training import TrainingConfig
from .config import ModelConfig, Run
from .destination import Destination
from .differences import check_same_model
from .lock import locked
from .phase_budget import is_finished
from .run_folder import RunFolder

FIRST_STAGE = "autoencoder"
"""The folder of the first stage in that of the second."""
_ITEMS = 10_000


@runtime_checkable
class InStages(Protocol):
    """The config of a model that begins with the weights of another one."""

    def first_model(self) -> ModelConfig:
        """The choice of the model that is trained first."""
        ...

    def first_training(self, training: TrainingConfig) -> TrainingConfig:
        """How it is trained.

        Args:
            training: that of the second stage.
        """
        ...

    def begin(self, model: nn.Module, first: nn.Module, items: Tensor) -> None:
        """Give a new model what the first stage has learned.

        Args:
            model: of the second stage.
            first: the trained model of the first stage.
            items: raw training items, 10,000 at most.
        """
        ...


@dataclass(frozen=True)
class FirstStage:
    """The first stage of a run.

    Args:
        run: its run.
        second: the folder of the second stage.
    """

    run: Run
    second: Destination

    @classmethod
    def of(cls, run: Run, out: Destination) -> FirstStage | None:
        """The first stage of a run into a folder; None where it has one stage.

        Args:
            run: the run of the second stage.
            out: its folder.
        """
        config = run.model
        if not isinstance(config, InStages):
            return None

        training = config.first_training(run.training)
        first = Run(run.recipe, run.source, config.first_model(), training)
        return cls(first, replace(out, parts=(*out.parts, FIRST_STAGE)))

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.second.path / FIRST_STAGE

    @property
    def is_finished(self) -> bool:
        """Whether it has had its budget."""
        return is_finished(self.path)

    @property
    def destination(self) -> Destination:
        """Its folder, to go on with what is there."""
        return Destination(self.path, resume=(self.path / "run.json").is_file())

    def check(self) -> None:
        """ValueError where there is one with another model."""
        if (self.path / "run.json").is_file():
            check_same_model(self.run, RunFolder.open(self.path).run, self.path)

    def clear(self) -> None:
        """Remove it, where the second stage replaces a run."""
        if self.second.overwrite and (self.path / "run.json").is_file():
            with locked(self.path):
                pass  # nothing trains in it
            shutil.rmtree(self.path)


def begin(run: Run, model: nn.Module, first: Path, dataset: Dataset) -> None:
    """Give the model of a second stage what the first has learned.

    Args:
        run: the run of the second stage.
        model: its model.
        first: the folder of the first stage.
        dataset: the data of both.
    """
    config: Any = run.model
    count = min(_ITEMS, len(dataset.train))
    items, _ = next(dataset.batches(count, run.training.seed))
    config.begin(model, RunFolder.open(first).model(), items)
