"""Stochastic gradient descent on `loss(batch, generator) -> (batch,)` until a budget of steps or
minutes is spent.

A run is a sequence of steps and, between steps, four things that may be due: a report (a line of
metrics.jsonl and the callbacks), a validation, a checkpoint, a stop. A CPU has each loss at once;
on another device losses stay there until one of the four is due, so that no step waits. The first
loss that is not finite ends the run before it can reach a checkpoint.

The state of a run is: weights, moving average, moments of the optimizer, random generators,
position in the data, and the counters below. All of it is in a checkpoint, so that n steps, a
resume and n steps are 2n steps, bit for bit, as long as the budget is in steps (with minutes the
learning rate follows the clock). Callbacks and validation draw from random streams of their own:
watching a run does not change it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from . import checkpoint
from .checkpoint import BEST, Checkpoint
from .config import TrainingConfig
from .distributed import Processes
from .errors import Interrupted, TrainingError
from .metrics import Metrics
from .optimization import Batch, BatchStream, Learner
from .progress import Callback, Progress
from .rng_state import capture, isolated, restore
from .selection import Record, Selection, Validation
from .signals import Stop, interrupts
from .validation import Validator, is_due

_SILENT_SECONDS = 10.0


@dataclass(frozen=True)
class Result:
    """What a run leaves.

    Args:
        ema: the averaged model, in eval mode, after the last step.
        best: the averaged model at the step with the lowest validation loss; `ema` without
            validation.
        step: optimizer steps.
        images: items seen.
        seconds: time of all sessions.
        loss: mean training loss in the last report.
        validation: what validation found; None without it.
    """

    ema: nn.Module
    best: nn.Module
    step: int
    images: int
    seconds: float
    loss: float
    validation: Validation | None


def train(
    model: nn.Module,
    batches: BatchStream,
    config: TrainingConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    validation: Batch | None = None,
) -> Result:
    """Train a model in place.

    Args:
        model: a module with `loss(batch, generator)`, one loss per item.
        batches: an endless iterator of batches, which can say where it is.
        config: budget, optimizer, and so on.
        folder: where checkpoints and metrics go, from which the run can be resumed; None writes
            nothing.
        resume: go on with the run in the folder.
        callbacks: called at each report, and every ten seconds, in the first process.
        validation: held-out items as one batch; their loss selects the best checkpoint. None: no
            validation.

    Returns:
        The averaged models, last and best, and the counters.

    Raises:
        ValueError: for arguments that do not fit: a folder that holds a run already and no
            `resume`, one that holds none and `resume`, a damaged checkpoint, a device that is
            absent.
        TrainingError: at the first loss or gradient that is not finite, and for a disk that is
            full.
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    if not callable(getattr(model, "loss", None)):
        raise ValueError(
            f"model {type(model).__name__} has no loss(batch, generator): give a module that has "
            "one"
        )
    if resume and folder is None:
        raise ValueError("resume=True needs a folder: give the one that the run was written to")
    if folder is not None and not resume and checkpoint.exists(folder):
        raise ValueError(f"{folder} holds a run already: resume it, or give another folder")
    saved = checkpoint.read_checkpoint(folder) if resume and folder is not None else None
    processes = Processes(config.device)
    with isolated(processes.device), interrupts() as stop:
        learner = Learner(model, config, processes)
        counters = _start(learner, batches, saved)
        selection = _selection(validation, learner, counters, folder)
        return _Run(learner, batches, counters, folder, selection).spend(stop, callbacks)


@dataclass
class _Counters:
    """The numbers of a run's state.

    Args:
        window: (loss, gradient norm) of each step since the last report.
        validation: what is known of the best step.
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    window: list[list[float]] = field(default_factory=list)
    validation: Record = field(default_factory=Record)


def _start(learner: Learner, batches: BatchStream, saved: Checkpoint | None) -> _Counters:
    """Seed a new run, or put a saved one back where it was."""
    learner.model.train()
    torch.manual_seed(learner.config.seed + learner.processes.rank)
    if saved is None:
        return _Counters()
    learner.restore(saved)
    batches.load_state_dict(saved.state["batches"])
    restore(saved.random, learner.processes, learner.generator)
    counters = dict(saved.state["counters"])
    return _Counters(**counters | {"validation": Record(**counters.get("validation", {}))})


def _selection(
    validation: Batch | None, learner: Learner, counters: _Counters, folder: Path | None
) -> Selection | None:
    """What validates the run, in the first process.

    Without validation, no best weights of before are left.
    """
    if learner.processes.rank != 0:
        return None
    if validation is not None and learner.config.validation_every != 0:
        validator = Validator(validation, learner.config, learner.processes.device)
        return Selection(validator, counters.validation, folder)

    counters.validation = Record()
    if folder is not None:
        (folder / BEST).unlink(missing_ok=True)
    return None


class _Run:
    """A run between its first and its last step."""

    def __init__(
        self,
        learner: Learner,
        batches: BatchStream,
        counters: _Counters,
        folder: Path | None,
        selection: Selection | None,
    ) -> None:
        self.learner = learner
        self.batches = batches
        self.counters = counters
        self.folder = folder
        self.selection = selection
        self.config = learner.config
        self.processes = learner.processes
        self.first = self.processes.rank == 0
        self.metrics = (
            Metrics(folder / "metrics.jsonl", counters.step) if folder and self.first else None
        )
        self.pending: list[Tensor] = []  # the end of the window, still on the device
        self.started = time.monotonic() - counters.seconds
        self.reported = (counters.seconds, counters.images)
        self.saved = counters.seconds
        self.called_back = counters.seconds

    @property
    def progress(self) -> float:
        """Fraction of the budget that is spent."""
        return self.config.progress(self.counters.step, self.counters.seconds)

    def spend(self, stop: Stop, callbacks: Sequence[Callback]) -> Result:
        """Step until the budget is spent; between steps report, validate, save or stop where that
        is due.
        """
        while self.progress < 1:
            before = self.progress
            rate = self.config.rate(self.counters.step, before)
            stopped = self._step(rate, stop)

            step = self.counters.step
            if step == 1 or step % self.config.log_every == 0 or self.progress == 1:
                self._report(rate, callbacks)
            elif self.counters.seconds - self.called_back >= _SILENT_SECONDS:
                self._tell(callbacks)
            if is_due(self.config, step, before, self.progress):
                self._validate()
            if stopped or self.counters.seconds - self.saved >= 60 * self.config.checkpoint_minutes:
                self._save()
            if stopped:
                raise Interrupted(self._farewell())
        self._save()
        return self._result()

    def _result(self) -> Result:
        last = best = self.learner.ema.module
        found = None
        if self.selection is not None:
            best = self.selection.best(last)
            found = self.selection.result(best, last)
        now = self.counters
        return Result(last, best, now.step, now.images, now.seconds, now.loss, found)

    def _step(self, rate: float, stop: Stop) -> bool:
        """One step by the clock of the first process; True if any received a stop signal."""
        pair, items = self.learner.step(self.batches, rate)
        self.pending.append(pair)
        self.counters.step += 1
        if self.processes.device.type == "cpu":
            self._collect()
        clock = time.monotonic() - self.started if self.first else 0.0
        self.counters.seconds, images, stops = self.processes.sum(clock, items, stop.requested)
        self.counters.images += int(images)
        return stops > 0

    def _collect(self) -> None:
        """Bring the pending losses to the host. TrainingError at the first that is not finite."""
        if self.pending:
            pairs: list[list[float]] = self.processes.mean(torch.stack(self.pending)).tolist()
            for step, pair in enumerate(pairs, self.counters.step - len(pairs) + 1):
                if not all(map(math.isfinite, pair)):
                    raise TrainingError(
                        f"loss {pair[0]:g}, gradient norm {pair[1]:g} at step {step}: lower "
                        "learning_rate "
                        f"({self.config.learning_rate:g}) or clip ({self.config.clip:g}), or check "
                        "the data; "
                        "the last checkpoint is untouched"
                    )
            self.counters.window += pairs
            self.pending.clear()

    def _report(self, rate: float, callbacks: Sequence[Callback]) -> None:
        """Write a line of metrics and call the callbacks, with means over the steps since the last
        report.
        """
        self._collect()
        now = self.counters
        losses, norms = zip(*now.window, strict=True)
        now.loss, norm = math.fsum(losses) / len(losses), math.fsum(norms) / len(norms)
        now.window = []
        seconds, images = now.seconds - self.reported[0], now.images - self.reported[1]
        self.reported = (now.seconds, now.images)
        if self.metrics is not None:
            line = {"step": now.step, "images": now.images, "loss": now.loss, "grad_norm": norm}
            times = {"seconds": now.seconds, "images_per_second": images / max(seconds, 1e-9)}
            self.metrics.append({**line, "learning_rate": rate, **times})
        self._tell(callbacks)

    def _tell(self, callbacks: Sequence[Callback]) -> None:
        """Call the callbacks, with the loss of the last report."""
        now = self.counters
        self.called_back = now.seconds
        if not self.first:
            return
        left = now.seconds * (1 - self.progress) / self.progress
        report = Progress(now.step, now.images, now.loss, self.progress, now.seconds, left)
        with isolated(self.processes.device):
            for callback in callbacks:
                callback(report)

    def _validate(self) -> None:
        """Validate the averaged model, keep it if it is the best so far, and write a line of
        metrics.
        """
        if self.selection is None:
            return
        self._collect()
        now = self.counters
        average = self.learner.ema.module
        line = self.selection.validate(average, now.step, now.images, now.seconds)
        if self.metrics is not None:
            self.metrics.append(line)

    def _save(self) -> None:
        """Write a checkpoint, if the run has a folder."""
        self._collect()
        self.saved = self.counters.seconds
        if self.folder is not None:
            random = capture(self.processes, self.learner.generator)
            if self.first:
                state = {"counters": asdict(self.counters), "batches": self.batches.state_dict()}
                checkpoint.write(self.folder, self.learner.checkpoint(random, state))

    def _farewell(self) -> str:
        place = f"interrupted at step {self.counters.step}"
        if self.folder is None:
            return f"{place}; nothing was saved, because the run has no folder"
        return f"{place}; the checkpoint is in {self.folder}: resume to go on"
