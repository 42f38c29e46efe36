"""The loop of a training run: steps, and what may be due between two steps.

A report (a line of metrics.jsonl, and the callbacks), a validation, a checkpoint, or a stop may be
due. On the CPU each loss is read after its step; on another device the losses stay there until one
of the four is due, so that no step waits for them. The first loss that is not finite ends the run
before a checkpoint is written.
"""

import math
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import torch
from torch import Tensor

from . import checkpoint
from .counters import Counters
from .errors import Interrupted, TrainingError
from .metrics import Metrics
from .optimization import BatchStream, Learner
from .output import Output
from .progress import Callback, Progress
from .result import Result
from .rng_state import isolated
from .selection import Selection, selected
from .signals import Stop
from .validation import is_due

_CALLBACK_SECONDS = 10.0
"""The longest time between two calls of the callbacks."""
_FIRST_CHECKPOINT_MINUTES = 1.0
"""The longest time to the first checkpoint of a run."""


class TrainingLoop:
    """The loop of a run, from its first or a resumed step to the end of its budget.

    Args:
        learner: the model and its optimizer.
        batches: the stream of batches.
        counters: the numbers of the state so far; they are changed in place.
        output: the run folder; None writes nothing.
        selection: validation and the best weights; None: no validation.
    """

    def __init__(
        self,
        learner: Learner,
        batches: BatchStream,
        counters: Counters,
        output: Output | None,
        selection: Selection | None,
    ) -> None:
        self.learner = learner
        self.batches = batches
        self.counters = counters
        self.output = output
        self.selection = selection
        self.config = learner.config
        self.processes = learner.processes

        self.first = self.processes.rank == 0
        self.metrics: Metrics | None = None
        if output is not None:
            lines = output.path / "metrics.jsonl"
            self.metrics = self.processes.first(lambda: Metrics(lines, counters.step))
        self.pending: list[Tensor] = []  # the end of the window, still on the device

        self.started = time.monotonic() - counters.seconds
        self.reported = (counters.seconds, counters.images)
        self.called_back = counters.seconds
        self.is_out_of_patience = self._has_long_been_worse()

        self.began = counters.step
        first_minutes = _FIRST_CHECKPOINT_MINUTES if counters.step == 0 else math.inf
        self.save_at = counters.seconds + 60 * min(first_minutes, self.config.checkpoint_minutes)

    @property
    def progress(self) -> float:
        """The fraction of the budget that is spent, in [0, 1]."""
        return self.config.progress(self.counters.step, self.counters.seconds)

    def run(self, stop: Stop, callbacks: Sequence[Callback]) -> Result:
        """The result of all steps to the end of the budget.

        Args:
            stop: whether the run has received a stop signal.
            callbacks: called at each report, and every ten seconds, in the first process.

        Raises:
            Interrupted: after a stop signal, with a checkpoint written.
        """
        while self.progress < 1 and not self.is_out_of_patience:
            before = self.progress
            rate = self.config.rate(self.counters.step, before)
            stopped = self._step(rate, stop)

            step = self.counters.step
            if step == 1 or step % self.config.log_every == 0 or self.progress == 1:
                self._report(rate, callbacks)
            elif self.counters.seconds - self.called_back >= _CALLBACK_SECONDS:
                self._call_back(callbacks)
            if is_due(self.config, step, before, self.progress):
                self._validate()
                self.is_out_of_patience = self._has_long_been_worse()
            if stopped is not None or self.counters.seconds >= self.save_at:
                self._save(stop)
            if stopped is not None:
                raise Interrupted(self._interruption(), stopped)

        self._save(stop)
        return self._result()

    def _result(self) -> Result:
        last = self.learner.ema.module
        best, found = selected(self.selection, last, self.processes)

        now = self.counters
        return Result(last, best, now.step, now.images, now.seconds, now.loss, found, self.began)

    def _step(self, rate: float, stop: Stop) -> int | None:
        """One step by the clock of the first process; the stop signal that any has received."""
        pair, items = self.learner.step(self.batches, rate)
        self.pending.append(pair)
        self.counters.step += 1
        if self.processes.device.type == "cpu":
            self._collect()

        clock = time.monotonic() - self.started if self.first else 0.0
        self.counters.seconds, images, stops, terminations = self.processes.sum(
            clock, items, stop.requested, stop.terminated
        )
        self.counters.images += int(images)
        if stops == 0:
            return None
        return signal.SIGTERM if terminations else signal.SIGINT

    def _collect(self) -> None:
        """Copy the pending losses to the host. TrainingError at the first that is not finite."""
        if not self.pending:
            return

        pairs: list[list[float]] = self.processes.mean(torch.stack(self.pending)).tolist()
        for step, pair in enumerate(pairs, self.counters.step - len(pairs) + 1):
            if not all(map(math.isfinite, pair)):
                error = TrainingError(
                    f"loss {pair[0]:g}, gradient norm {pair[1]:g} at step {step}: lower "
                    f"learning_rate ({self.config.learning_rate:g}) or clip "
                    f"({self.config.clip:g}), or check the data; the last checkpoint is untouched"
                )
                raise self.processes.alike(error)

        self.counters.window += pairs
        self.pending.clear()

    def _report(self, rate: float, callbacks: Sequence[Callback]) -> None:
        """Write a line of metrics, means over the steps since the last report, and call back."""
        self._collect()
        now = self.counters
        losses, norms = zip(*now.window, strict=True)
        now.loss = math.fsum(losses) / len(losses)
        norm = math.fsum(norms) / len(norms)
        now.window = []

        seconds = now.seconds - self.reported[0]
        images = now.images - self.reported[1]
        self.reported = (now.seconds, now.images)

        line = {"step": now.step, "images": now.images, "loss": now.loss, "grad_norm": norm}
        times = {"seconds": now.seconds, "images_per_second": images / max(seconds, 1e-9)}
        self._write_line({**line, "learning_rate": rate, **times})
        self._call_back(callbacks)

    def _write_line(self, line: Mapping[str, float | None]) -> None:
        """Append a line to the metrics, if the run has a folder."""
        if self.output is not None:
            self.processes.first(lambda: self._append(line))

    def _append(self, line: Mapping[str, float | None]) -> None:
        if self.metrics is not None:
            with self._writing():
                self.metrics.append(line)

    def _call_back(self, callbacks: Sequence[Callback]) -> None:
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
        """Validate the averaged model, save it if it is the best, and write a line of metrics."""
        self._collect()
        self.processes.first(self._validate_average)

    def _validate_average(self) -> None:
        if self.selection is None:
            return

        now = self.counters
        average = self.learner.ema.module
        with self._writing():
            line = self.selection.validate(average, now.step, now.images, now.seconds)
        self._append(line)

    def _has_long_been_worse(self) -> bool:
        """Whether the lowest validation loss is older than `patience` allows."""
        step, record = self.counters.step, self.counters.validation
        if self.config.patience is None:
            return False
        planned = step / max(self.progress, 1e-9)
        is_old = record.best is not None and step - record.best_step >= (
            self.config.patience * planned
        )
        return self.processes.from_first(is_old)

    def _save(self, stop: Stop) -> None:
        """Write a checkpoint, if the run has a folder. TrainingError for weights not finite."""
        self._collect()
        self.processes.every(lambda: self.learner.check_finite(self.counters.step))
        self.save_at = self.counters.seconds + 60 * self.config.checkpoint_minutes

        if self.output is not None:
            random = self.learner.generators.capture()
            with stop.writing():
                self.processes.first(lambda: self._write_checkpoint(random))

    def _write_checkpoint(self, random: Mapping[str, Tensor]) -> None:
        if self.output is not None:
            state = {"counters": asdict(self.counters), "batches": self.batches.state_dict()}
            with self._writing():
                checkpoint.write(self.output.path, self.learner.checkpoint(random, state))

    def _writing(self) -> AbstractContextManager[None]:
        return nullcontext() if self.output is None else self.output.writing()

    def _interruption(self) -> str:
        place = f"interrupted at step {self.counters.step}"
        if self.output is None:
            return f"{place}; nothing was saved, because the run has no folder"
        return f"{place}; the checkpoint is in {self.output.path}: resume to go on"
