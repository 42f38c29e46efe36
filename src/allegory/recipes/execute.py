"""Carry a Run out: data, model, training, into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from ..data import Dataset, load
from ..training import Callback, Result, discard, train
from ..training.checkpoint import read
from .config import Run
from .run_folder import RunFolder


def execute(
    run: Run,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
) -> tuple[RunFolder, Result]:
    """Train the run in this folder, or go on with what is there.

    ValueError when the folder holds a run already and neither `resume` nor `overwrite` is given, or when data and
    model do not fit: nothing on disk is touched before everything has been built.
    """
    _check_folder(path, resume, overwrite)
    dataset = load(run.source)
    run = run.resolved(dataset)
    torch.manual_seed(run.training.seed)  # the initial weights
    model = run.build_model(dataset)
    if resume:
        _check_resumable(path, dataset)
    elif overwrite:
        _clear(path)
    folder = RunFolder.create(path, run, dataset.spec)
    batches = dataset.batches(run.training.batch_size, run.training.seed)
    result = train(model, batches, run.training, path, resume=resume, callbacks=callbacks)
    return folder, result


def _check_folder(path: Path, resume: bool, overwrite: bool) -> None:
    """ValueError where starting, resuming or overwriting would harm what is there."""
    if resume and overwrite:
        raise ValueError("--resume and --overwrite: give one of them")
    occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied and not (resume or overwrite):
        raise ValueError(
            f"--out {str(path)!r}: exists already; give --resume to go on, --overwrite, or another folder"
        )
    if occupied and overwrite and not (path / "run.json").is_file():
        raise ValueError(f"--out {str(path)!r}: exists and is no run; give another folder")


def _check_resumable(path: Path, dataset: Dataset) -> None:
    """ValueError, before anything is written, when the checkpoint is damaged or the data are others."""
    data = RunFolder.open(path).spec
    if data != dataset.spec:
        raise ValueError(
            f"--resume: the data are {dataset.spec}, the run began with {data}; give the same data"
        )
    read(path)


def _clear(path: Path) -> None:
    """Remove what a run writes, and nothing else."""
    discard(path)
    (path / "report.html").unlink(missing_ok=True)
    shutil.rmtree(path / "samples", ignore_errors=True)
