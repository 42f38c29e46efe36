"""Runs of two stages: another model is trained first, in a folder of the run, or was trained.

    OUT/autoencoder    the first stage, a run of its own
    OUT                the second, which begins with its weights

A config of two stages has `first_model`, `first_training`, `first_run` and `begin`. Where the first
stage was interrupted, the same command goes on with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ..data import Dataset
from ..training import Callback, Progress, TrainingConfig
from .config import ModelConfig, Run
from .destination import Destination, clear_run
from .differences import check_first_stage, check_trained, data_to_continue
from .lock import locked
from .phase_budget import is_finished
from .run_folder import FIRST_STAGE, RunFolder, is_in_first_stage

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

    def first_run(self) -> Path | None:
        """The folder of a run of it, where it was trained already."""
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
        given: the folder of a run of it that was trained already; None trains it in a folder of the
            second stage.
    """

    run: Run
    second: Destination
    given: Path | None = None

    @classmethod
    def of(cls, run: Run, out: Destination, initial: Path | None = None) -> FirstStage | None:
        """The first stage of a run into a folder; None where it has one stage.

        Args:
            run: the run of the second stage.
            out: its folder.
            initial: another run, whose weights all parts begin with; None: there is none.

        Raises:
            ValueError: where both `initial` and a trained first stage are given.
        """
        config = run.model
        if not isinstance(config, InStages):
            return None

        given = config.first_run()
        if initial is not None:
            if given is not None:
                raise ValueError(
                    f"--{FIRST_STAGE} {given}: --from {initial} has all weights; give one of them"
                )
            return None

        training = config.first_training(run.training)
        first = Run(run.recipe, run.source, config.first_model(), training)
        goes_on = out.resume and not is_in_first_stage(out.path)
        second = replace(out, resume=goes_on, parts=(*out.parts, FIRST_STAGE))
        return cls(first, second, given)

    @property
    def own(self) -> Path:
        """Its folder in that of the second stage."""
        return self.second.path / FIRST_STAGE

    @property
    def path(self) -> Path:
        """The folder of its run."""
        return self.own if self.given is None else self.given

    @property
    def is_finished(self) -> bool:
        """Whether it was given, or has had its budget."""
        return self.given is not None or is_finished(self.own, self.run.training)

    @property
    def destination(self) -> Destination:
        """Its folder, to go on with what is there."""
        return Destination(self.own, resume=(self.own / "run.json").is_file())

    def check(self, dataset: Dataset) -> None:
        """Refuse a first stage that is there and is not that of this run.

        Args:
            dataset: the data of the run.

        Raises:
            ValueError: for one with another model or, unless it was given, other data; and for one
                that was given without weights, or for items of another kind.
        """
        if self.given is not None:
            check_trained(self.run.model, dataset.spec, self.given, f"--{FIRST_STAGE}")
        elif (self.own / "run.json").is_file() and not self.second.overwrite:
            begun = RunFolder.open(self.own)
            check_first_stage(self.run, begun)
            data_to_continue(dataset, begun)

    def clear(self) -> None:
        """Remove what the second stage replaces: the run in its folder, and that of the first."""
        path = self.second.path
        if not self.second.overwrite:
            return

        is_taken = self.given is not None and self.given.resolve() == self.own.resolve()
        if (self.own / "run.json").is_file() and not is_taken:
            _remove(self.own)
        clear_run(path)
        (path / "run.json").unlink(missing_ok=True)

    def begin(self, run: Run, model: nn.Module, dataset: Dataset) -> None:
        """Give the model of the second stage what the first has learned.

        Args:
            run: the run of the second stage.
            model: its model.
            dataset: the data of both.
        """
        config: Any = run.model
        count = min(_ITEMS, len(dataset.train))
        items, _ = next(dataset.batches(count, run.training.seed))
        config.begin(model, RunFolder.open(self.path).model(), items)

    def shown_first(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """The `callbacks` for reports of the first stage, which say so and have its unit."""
        stage = f"training the {FIRST_STAGE} (stage 1 of 2)"
        return [_with(each, stage, self.run.unit) for each in callbacks]

    def shown_second(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """The `callbacks` for reports of the second stage, which say so if there is a first."""
        stage = "training (stage 2 of 2)" if self.given is None else "training"
        return [_with(each, stage, None) for each in callbacks]


def _with(callback: Callback, stage: str, unit: str | None) -> Callback:
    """The callback with a stage and a unit in each report."""

    def call(now: Progress) -> None:
        callback(replace(now, stage=stage, unit=unit))

    return call


def _remove(folder: Path) -> None:
    """Remove the run folder of a first stage. ValueError where another process trains in it."""
    with locked(folder):
        pass
    shutil.rmtree(folder)
