"""Carry a Run out: data, model, training, into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..data import Batches, Dataset, load
from ..training import Callback, Result, discard, train
from .choices import Run
from .folder import RunFolder


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
    if resume and overwrite:
        raise ValueError("--resume and --overwrite: give one of them")
    occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied and not (resume or overwrite):
        raise ValueError(f"--out {str(path)!r}: exists already; give --resume to go on, --overwrite, or another folder")
    if occupied and overwrite and not (path / "run.json").is_file():
        raise ValueError(f"--out {str(path)!r}: exists and is no run; give another folder")
    dataset = load(run.data)
    torch.manual_seed(run.training.seed)  # the initial weights
    model = run.fit_to(dataset)
    if overwrite and occupied:
        discard(path)
    if resume:
        _same_data(RunFolder.open(path), dataset)
    folder = RunFolder.create(path, run, dataset.spec)
    result = train(model, _batches(dataset, run), run.training, path, resume=resume, callbacks=callbacks)
    return folder, result


def _batches(dataset: Dataset, run: Run) -> Batches:
    return Batches(dataset.train, run.training.batch_size, run.training.seed)


def _same_data(folder: RunFolder, dataset: Dataset) -> None:
    if folder.data != dataset.spec:
        raise ValueError(f"--resume: the data are {dataset.spec}, the run began with {folder.data}; give the same data")
