"""Carry a Run out: data, model, training, into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import Dataset, DataSpec, load
from ..training import Callback, Processes, Result, discard, load_weights, train
from ..training.checkpoint import exists, read_checkpoint
from .config import Run
from .run_folder import RunFolder
from .serialize import to_json


@dataclass(frozen=True)
class Destination:
    """The folder that a run is written to, and what is done where it holds a run already.

    Args:
        path: the run folder.
        resume: continue the run in it.
        overwrite: replace the run in it.

    Raises:
        ValueError: for both `resume` and `overwrite`.
    """

    path: Path
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse two answers."""
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite: give one of them")

    def check(self) -> None:
        """ValueError where starting, resuming or overwriting would harm what is in the folder."""
        path = self.path
        occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if occupied and not (self.resume or self.overwrite):
            raise ValueError(
                f"--out {str(path)!r}: exists already; give --resume to go on, --overwrite "
                "(in Python resume=True, overwrite=True), or another folder"
            )
        if occupied and self.overwrite and not (path / "run.json").is_file():
            raise ValueError(f"--out {str(path)!r}: exists and is no run; give another folder")

    def create(self, run: Run, spec: DataSpec) -> RunFolder:
        """The folder with the run.json of a `run` on data of this `spec`, after `check`.

        Raises:
            ValueError: for a run that cannot be resumed.
        """
        if self.resume:
            _check_resumable(self.path, spec)
        elif self.overwrite:
            _clear(self.path)
        return RunFolder.create(self.path, run, spec)


def execute(
    run: Run,
    folder: Path | Destination,
    *,
    initial: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[RunFolder, Result]:
    """Train the run in a folder, or continue what is there.

    Nothing on disk is touched before everything has been built.

    Args:
        run: what to train.
        folder: where the run is written to; a path must be a new one, a `Destination` may continue
            or replace the run that is there.
        initial: another run whose weights training starts from; None: random weights.
        callbacks: called at each report.

    Returns:
        The folder, and what training returns.

    Raises:
        ValueError: when the folder holds a run that is neither to be continued nor replaced, or
            when data and model do not fit.
    """
    out = folder if isinstance(folder, Destination) else Destination(folder)
    processes = Processes(run.training.device)
    processes.first(out.check)

    run, dataset, model = processes.every(lambda: _built(run, out, initial))
    processes.first(lambda: out.create(run, dataset.spec))
    result = train_in(out.path, run, model, dataset, callbacks)
    return RunFolder(out.path, run, dataset.spec), result


def _built(run: Run, out: Destination, initial: Path | None) -> tuple[Run, Dataset, nn.Module]:
    """The run with nothing left open, its data, and its model with the initial weights."""
    dataset = load(run.source)
    if initial is not None and initial.resolve() == out.path.resolve():
        raise ValueError(f"--from {initial}: is the run in --out itself; give another --out")
    if initial is not None:
        run = with_model_of(run, initial)
    run = run.resolved(dataset)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.training.seed)  # the initial weights
        model = run.build_model(dataset)

    if initial is not None and not out.resume:
        load_weights(model, RunFolder.open(initial).weights)
    return run, dataset, model


def train_in(
    path: Path | None,
    run: Run,
    model: nn.Module,
    dataset: Dataset,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train a model in a prepared folder; a checkpoint that is there is continued.

    Args:
        path: the folder; None writes nothing.
        run: its choices.
        model: its model.
        dataset: its data.
        callbacks: called at each report.
    """
    processes = Processes(run.training.device)
    part = (processes.rank, processes.world)
    batches = processes.every(
        lambda: dataset.batches(run.training.batch_size, run.training.seed, part)
    )
    held_out = dataset.validation

    return train(
        model,
        batches,
        run.training,
        path,
        resume=path is not None and exists(path),
        callbacks=callbacks,
        validation=(held_out.x, held_out.labels) if len(held_out) else None,
        processes=processes,
    )


def with_model_of(run: Run, path: Path) -> Run:
    """The run with the model of another one, whose weights it will start from.

    Args:
        run: its model may leave fields open, as None.
        path: folder of the other run.

    Raises:
        ValueError: where the models differ; it names the first field that does.
    """
    other = RunFolder.open(path).run
    mine, theirs = (_flat("model", to_json(each.model)) for each in (run, other))

    for name in {**theirs, **mine}:
        value, wanted = mine.get(name), theirs.get(name)
        if value != wanted and (name not in mine or value is not None):
            raise ValueError(
                f"--from {path}: its {name} is {wanted} and here it is {value}; "
                "weights fit the same model only"
            )

    return replace(run, model=other.model)


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """A tree of fields as dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= _flat(f"{prefix}.{name}", part)
    return flat


def _check_resumable(path: Path, spec: DataSpec) -> None:
    """ValueError, before anything is written, for a damaged checkpoint or other data."""
    began = RunFolder.open(path).spec
    if spec != began:
        raise ValueError(
            f"--resume: the data are {spec}, the run began with {began}; give the same data"
        )
    read_checkpoint(path)


def _clear(path: Path) -> None:
    """Remove what a run writes, and nothing else."""
    discard(path)
    (path / "report.html").unlink(missing_ok=True)
    shutil.rmtree(path / "samples", ignore_errors=True)
