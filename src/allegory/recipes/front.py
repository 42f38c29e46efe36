"""Train a model that was put together in Python, and open any run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from torch import nn

from ..data import Dataset, DataSpec, load
from ..lookup import check_type
from ..training import Callback, Processes, Result, TrainingConfig, bar, load_weights
from .config import Run
from .derive import config_of
from .destination import Destination, OpenDestination
from .execute import Built, train_in
from .run_folder import RunFolder


def train(
    model: nn.Module,
    data: Dataset | str,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    config: TrainingConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train a model, and leave it with the average of its weights at its best, ready to sample.

    The best is the step with the lowest loss on the validation items, the last where there are
    none.

    Args:
        model: an `nn.Module` with `spec` and `loss`, such as a `VDM`.
        data: what it learns; text is read by `load`.
        minutes: budget in minutes.
        steps: budget in optimizer steps.
        out: run folder for checkpoints, metrics and weights, which the command line and `open`
            read; None writes nothing.
        seed: of the data order, of noise and of dropout; None means that of `config`, else 0. The
            initial weights are the model's.
        config: batch size, optimizer, learning rate and so on; None means the defaults of
            `TrainingConfig`.
        resume: continue the run in `out`.
        overwrite: replace the run in `out`.
        callbacks: called at each report, besides the progress bar.

    Returns:
        Counters and the last loss.

    Raises:
        ValueError: without a budget, for data of another kind than the model's, or a folder that
            cannot be used.
        TrainingError: at the first loss that is not finite.
    """
    if not callable(getattr(model, "loss", None)):
        raise ValueError(
            f"model: a {type(model).__name__} has no loss; give a VDM, or another model"
        )

    check_type("callbacks", callbacks, Sequence, "a list of functions")
    if out is not None:
        check_type("out", out, (str, os.PathLike), "the path of a run folder")
    training = _training(config, minutes, steps, seed)
    folder = None if out is None else Destination(Path(out), resume, overwrite)
    if folder is None and (resume or overwrite):
        raise ValueError("resume and overwrite are about a folder; give out=FOLDER")

    processes = Processes(training.device)
    with nullcontext() if folder is None else folder.opened(processes) as opened:
        dataset = processes.every(lambda: _checked_data(model, data, opened))
        run = Run("python", dataset.source, config_of(model), training)
        with bar(run.unit) as show:
            built = Built(run, model, dataset)
            result = train_in(opened, built, processes, [show, *callbacks])

    model.load_state_dict(result.best.state_dict())
    model.eval()
    return result


def open(folder: str | Path, model: nn.Module | None = None) -> Any:
    """The trained model in a run folder, ready to sample and evaluate.

    Its weights are their moving average at the step with the lowest validation loss
    (best.safetensors), or after the last step where there was no validation (ema.safetensors).

    Args:
        folder: a run folder, from `train` or from the command line.
        model: where no registered config describes the model, one like it, which takes the weights.

    Returns:
        The model.

    Raises:
        ValueError: for a folder that holds no run, a run without weights, or a model that they do
            not fit.
    """
    check_type("folder", folder, (str, os.PathLike), "the path of a run folder")
    run = RunFolder.open(Path(folder))
    if model is None:
        return run.model()

    if getattr(model, "spec", run.spec) != run.spec:
        raise ValueError(
            f"model: for {getattr(model, 'spec', None)}, the run learned {run.spec}; build it with "
            "the spec of the run's data"
        )

    load_weights(model, run.weights)
    return model.eval()


def _checked_data(model: nn.Module, data: Dataset | str, out: OpenDestination | None) -> Dataset:
    """The data, loaded if they are text. ValueError if they are not what the model is for."""
    dataset = load(data) if isinstance(data, str | os.PathLike) else data
    remedy = "a Dataset, e.g. Dataset.from_arrays(x), or text that `load` reads"
    check_type("data", dataset, Dataset, remedy)

    dataset = _for_model(model, dataset)
    return dataset if out is None else out.data(dataset)


def _for_model(model: nn.Module, dataset: Dataset) -> Dataset:
    """The data under the model's description of them. ValueError for data of another kind."""
    spec: DataSpec = getattr(model, "spec", dataset.spec)
    try:
        if (spec.classes is None) != (dataset.spec.classes is None):
            raise ValueError("labels on one side only; give them to both or to none")
        if (spec.condition is None) != (dataset.spec.condition is None):
            raise ValueError("a condition on one side only; give it to both or to none")
        return dataset.as_spec(spec)
    except ValueError as error:
        raise ValueError(
            f"data: {dataset.spec} is not what the model is for, {spec} ({error}); "
            "build it with data.spec"
        ) from None


def _training(
    config: TrainingConfig | None, minutes: float | None, steps: int | None, seed: int | None
) -> TrainingConfig:
    """The training config with this budget and seed."""
    if config is not None:
        check_type("config", config, TrainingConfig, "a TrainingConfig, or None")
    if minutes is not None:
        check_type("minutes", minutes, Real, "a number of minutes")
    if config is None:
        if minutes is None and steps is None:
            raise ValueError("no budget: give minutes or steps")
        config = TrainingConfig(minutes=minutes, steps=steps)
    elif minutes is not None or steps is not None:
        config = replace(config, minutes=minutes, steps=steps)

    return config if seed is None else replace(config, seed=seed)
