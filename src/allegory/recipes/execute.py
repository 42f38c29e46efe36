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
from .differences import check_same_kind, with_model_of
from .run_folder import RunFolder
from .stages import FirstStage, begin


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
    stage = FirstStage.of(run, out) if initial is None else None
    out = out if stage is None else stage.second

    with out.opened(processes, initial) as opened:
        is_first = stage is not None and not opened.is_resumed
        first = _first(stage, processes, callbacks, on_built) if stage and is_first else None
        built = processes.every(lambda: _built(run, opened, first))
        if on_built is not None and processes.rank == 0:
            on_built(built)
        result = train_in(opened, built, processes, callbacks)
    run, spec = built.run, built.dataset.spec
    return RunFolder(out.path, run, spec, fingerprint=built.dataset.fingerprint), result


def _first(
    stage: FirstStage,
    processes: Processes,
    callbacks: Sequence[Callback],
    on_built: Callable[[Built], None] | None,
) -> Path:
    """The folder of the first stage, trained."""
    processes.first(stage.clear)
    processes.every(stage.check)
    if not stage.is_finished:
        execute(stage.run, stage.destination, callbacks=callbacks, on_built=on_built)
    return stage.path


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


def _built(run: Run, out: OpenDestination, first: Path | None = None) -> Built:
    """The run with its data and its model.

    Args:
        run: what to train.
        out: the folder, with the run to continue if there is one.
        first: the folder of a first stage, which a new model begins with.
    """
    begun = out.begun
    is_in_place = begun is not None and run.source == begun.run.source
    dataset = out.data(begun.load() if begun and is_in_place else load(run.source))
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
            model = begun.build(run.model, dataset.spec, state_weights(out.path))
        else:
            model = run.build_model(dataset)
    if first is not None:
        begin(run, model, first, dataset)
    return Built(run, model, dataset)


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
