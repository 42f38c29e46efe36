"""Carry a Run out: data, model, training, into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import Dataset, DataSpec, load
from ..training import Callback, Result, discard, load_weights, train
from ..training.checkpoint import exists, read_checkpoint
from .config import Run
from .run_folder import RunFolder
from .serialize import to_json


def execute(
    run: Run,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    initial: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[RunFolder, Result]:
    """Train the run in a folder, or continue what is there.

    Nothing on disk is touched before everything has been built.

    Args:
        run: what to train.
        path: the run folder.
        resume: continue the run in the folder.
        overwrite: replace the run in the folder.
        initial: another run whose weights training starts from; None: random weights.
        callbacks: called at each report.

    Returns:
        The folder, and what training returns.

    Raises:
        ValueError: when the folder holds a run already and neither `resume` nor `overwrite` is
            given, or when data and model do not fit.
    """
    check_folder(path, resume, overwrite)

    dataset = load(run.source)
    if initial is not None:
        run = with_model_of(run, initial)
    run = run.resolved(dataset)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.training.seed)  # the initial weights
        model = run.build_model(dataset)

    if initial is not None and not resume:
        load_weights(model, RunFolder.open(initial).weights)

    folder = prepare_folder(path, run, dataset.spec, resume, overwrite)
    return folder, train_in(path, run, model, dataset, callbacks)


def prepare_folder(
    path: Path, run: Run, spec: DataSpec, resume: bool, overwrite: bool
) -> RunFolder:
    """Write run.json into a folder that `check_folder` has accepted.

    Args:
        path: the run folder.
        run: its choices.
        spec: what its data are.
        resume: to continue the run in it.
        overwrite: to remove the run in it.

    Raises:
        ValueError: for a run that cannot be resumed.
    """
    if resume:
        _check_resumable(path, spec)
    elif overwrite:
        _clear(path)
    return RunFolder.create(path, run, spec)


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
    batches = dataset.batches(run.training.batch_size, run.training.seed)
    held_out = dataset.validation

    return train(
        model,
        batches,
        run.training,
        path,
        resume=path is not None and exists(path),
        callbacks=callbacks,
        validation=(held_out.x, held_out.labels) if len(held_out) else None,
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


def check_folder(path: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder where starting, resuming or overwriting would harm what is there.

    Args:
        path: the run folder.
        resume: to continue the run in it.
        overwrite: to replace the run in it.

    Raises:
        ValueError: for a folder that holds something else.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite: give one of them")

    occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied and not (resume or overwrite):
        raise ValueError(
            f"--out {str(path)!r}: exists already; give --resume to go on, --overwrite, "
            "or another folder"
        )
    if occupied and overwrite and not (path / "run.json").is_file():
        raise ValueError(f"--out {str(path)!r}: exists and is no run; give another folder")


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
