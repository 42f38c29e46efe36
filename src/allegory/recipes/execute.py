"""Carry a Run out: data, model, training, into a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..data import Dataset, load
from ..training import Callback, Processes, Result, load_weights, train
from ..training.checkpoint import state_weights
from ..training.memory import training_bytes
from .config import Run
from .destination import Destination, OpenDestination
from .differences import check_same_kind, check_same_model, with_model_of
from .run_folder import RunFolder
from .stages import FirstStage


def execute(
    run: Run,
    folder: Path | Destination,
    *,
    initial: Path | None = None,
    callbacks: Sequence[Callback] = (),
    on_built: Callable[[Built], None] | None = None,
) -> tuple[RunFolder, Result]:
    """Train the run in a folder, or continue what is there.

    Nothing on disk is touched before everything has been built, and a saved state restored.

    Args:
        run: what to train.
        folder: where the run is written to; a path must be a new one, a `Destination` may continue
            or replace the run that is there.
        initial: another run whose weights training starts from; None: random weights.
        callbacks: called at each report.
        on_built: called with each stage before it is trained.

    Returns:
        The folder, and what training returns.

    Raises:
        ValueError: when the folder holds a run that is neither to be continued nor replaced, when
            another process trains in it, or when data and model do not fit.
    """
    out = folder if isinstance(folder, Destination) else Destination(folder)
    processes = Processes(run.training.device)
    processes.every(lambda: _check_initial(initial, out))
    stage = processes.every(lambda: FirstStage.of(run, out, initial))
    out = out if stage is None else stage.second
    watching = Watching(callbacks, on_built, processes)

    with out.opened(processes, initial) as opened:
        built = processes.every(lambda: _built(run, opened))
        if stage is not None and not opened.is_resumed:
            _begin(stage, built, watching)
        watching.built(built)
        second = callbacks if stage is None else stage.shown_second(callbacks)
        result = train_in(opened, built, processes, second)

    run, spec = built.run, built.dataset.spec
    return RunFolder(out.path, run, spec, fingerprint=built.dataset.fingerprint), result


def _begin(stage: FirstStage, second: Built, watching: Watching) -> None:
    """Give the model of the second stage what the first has learned, which is trained if it is not.

    Args:
        stage: the first stage.
        second: the second, whose data both have.
        watching: the callbacks, for reports of the first stage as well.
    """
    processes, dataset = watching.processes, second.dataset
    processes.every(lambda: stage.check(dataset))
    processes.first(stage.clear)

    if not stage.is_finished:
        with stage.destination.opened(processes) as opened:
            built = processes.every(lambda: _built(stage.run, opened, dataset))
            watching.built(built)
            train_in(opened, built, processes, stage.shown_first(watching.callbacks))
    processes.every(lambda: stage.begin(second.run, second.model, dataset))


@dataclass(frozen=True)
class Built:
    """A run that is ready to be trained.

    Args:
        run: its choices, with nothing left open.
        model: its model, with the initial weights.
        dataset: its data.
    """

    run: Run
    model: nn.Module
    dataset: Dataset

    @property
    def training_bytes(self) -> int:
        """An estimate of the memory of a training step, in bytes."""
        training = self.run.training
        some = next(self.dataset.batches(2, training.seed))
        return training_bytes(self.model, some, training.batch_size)


@dataclass(frozen=True)
class Watching:
    """The callbacks of a run, and the processes that call them.

    Args:
        callbacks: called at each report of training.
        on_built: called with each stage before it is trained; None: nothing is.
        processes: the processes that train; the first of them calls.
    """

    callbacks: Sequence[Callback]
    on_built: Callable[[Built], None] | None
    processes: Processes

    def built(self, built: Built) -> None:
        """Call `on_built` with a stage that is `built`."""
        if self.on_built is not None and self.processes.rank == 0:
            self.on_built(built)


def _built(run: Run, out: OpenDestination, known: Dataset | None = None) -> Built:
    """The run with its data and its model, which has the weights of a run that is continued.

    Args:
        run: what to train.
        out: the folder, with the run to continue if there is one.
        known: the data, where they are loaded already.
    """
    begun = out.begun
    is_in_place = begun is not None and run.source == begun.run.source
    loaded = known or (begun.load() if begun and is_in_place else load(run.source))
    dataset = out.data(loaded)
    initial = None if out.is_resumed else out.initial
    if initial is not None:
        _check_is_there(initial, begun)
        run = with_model_of(run, initial)
        check_same_kind(dataset.spec, initial)
    run = replace(run.resolved(dataset), source=dataset.source)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.training.seed)  # the initial weights
        if initial is not None:
            model = _with_weights_of(RunFolder.open(initial), run, dataset)
        elif begun is not None:
            model = _continued(begun, run, dataset)
        else:
            model = run.build_model(dataset)
    return Built(run, model, dataset)


def _continued(begun: RunFolder, run: Run, dataset: Dataset) -> nn.Module:
    """The model of a run that has begun, with the weights of its checkpoint if there is one.

    ValueError where it began with another model.
    """
    check_same_model(run, begun.run, begun.path)
    weights = state_weights(begun.path)
    if weights is None:
        return run.build_model(dataset)

    model: nn.Module = begun.build(run.model, dataset.spec, weights)
    load_weights(model, weights)
    return model


def _with_weights_of(other: RunFolder, run: Run, dataset: Dataset) -> nn.Module:
    """The model of a run with the weights of another one."""
    model: nn.Module = other.build(run.model, dataset.spec, other.weights)
    load_weights(model, other.weights)
    return model


def train_in(
    out: OpenDestination | None,
    built: Built,
    processes: Processes,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train a model into a folder; a checkpoint that is there is continued.

    Args:
        out: the folder; None writes nothing.
        built: the run.
        processes: the processes that train it.
        callbacks: called at each report.

    Raises:
        ValueError: where the run to continue has another model or other data.
    """
    run, dataset = built.run, built.dataset
    part = (processes.rank, processes.world)
    batches = processes.every(
        lambda: dataset.batches(run.training.batch_size, run.training.seed, part)
    )
    held_out = dataset.validation
    output = None if out is None else processes.every(partial(out.output, run, dataset))

    return train(
        built.model,
        batches,
        run.training,
        output,
        resume=out is not None and out.is_resumed,
        callbacks=callbacks,
        validation=(held_out.x, held_out.given) if len(held_out) else None,
        processes=processes,
    )


def _check_is_there(initial: Path, begun: RunFolder | None) -> None:
    """ValueError where a run that has begun, and has no checkpoint, began with what is gone."""
    if begun is not None and not initial.is_dir():
        raise ValueError(
            f"--resume: {begun.path} begins with the weights of {initial}, which is not there; put "
            "it back, or give --overwrite to train anew"
        )


def _check_initial(initial: Path | None, out: Destination) -> None:
    """ValueError for weights to start from that cannot be taken."""
    if initial is not None and out.resume:
        raise ValueError(
            f"--from {initial}: --resume goes on with the weights in {out.path}; give one of them"
        )
    if initial is not None and initial.resolve() == out.path.resolve():
        raise ValueError(f"--from {initial}: is the run in --out itself; give another --out")
