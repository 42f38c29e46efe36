"""TrainingConfig: anything with `loss(batch, generator) -> (batch,)` learns by AdamW until its budget is spent.

A run is a sequence of steps and, between steps, three things that may be due: a report (a line of
metrics.jsonl and the callbacks), a checkpoint, a stop. A CPU has each loss at once; on another device they
stay until one of the three is due, so that no step waits. The first loss that is not finite ends the run
before it can reach a checkpoint.

The state of a run is: weights, moving average, moments of the optimizer, random generators, position in the
data, and the counters below. All of it is in a checkpoint, so that n steps, a resume and n steps are 2n
steps, bit for bit, as long as the budget is in steps (with minutes the learning rate follows the clock).
Callbacks draw from a random stream of their own: watching a run does not change it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from . import checkpoint
from .checkpoint import Checkpoint
from .config import TrainingConfig
from .distributed import Processes
from .errors import Interrupted, TrainingError
from .metrics import Metrics
from .optimization import Batches, Learner
from .progress import Callback, Progress
from .rng_state import capture, isolated, restore
from .signals import Stop, interrupts


@dataclass(frozen=True)
class Result:
    """What a run leaves: the averaged model (in eval mode), its counters, the last reported loss."""

    ema: nn.Module
    step: int
    images: int
    seconds: float
    loss: float


def train(
    model: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train `model` in place on `batches`; a folder takes checkpoints and metrics, and can be resumed.

    Callbacks are called at each report, in the first process. Raises ValueError for arguments that do not fit
    (a folder that holds a run already and no `resume`, one that holds none and `resume`, a damaged
    checkpoint), TrainingError at the first loss or gradient that is not finite and for a disk that is full,
    and Interrupted after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    if not callable(getattr(model, "loss", None)):
        raise ValueError(
            f"model {type(model).__name__} has no loss(batch, generator): give a module that has one"
        )
    if resume and folder is None:
        raise ValueError("resume=True needs a folder: give the one that the run was written to")
    if folder is not None and not resume and checkpoint.exists(folder):
        raise ValueError(f"{folder} holds a run already: resume it, or give another folder")
    saved = checkpoint.read(folder) if resume and folder is not None else None
    processes = Processes()
    with isolated(processes.device), interrupts() as stop:
        learner = Learner(model, config, processes)
        counters = _start(learner, batches, saved)
        return _Run(learner, batches, counters, folder).spend(stop, callbacks)


@dataclass
class _Counters:
    """The numbers of a run's state. `window`: (loss, gradient norm) of each step since the last report."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    window: list[list[float]] = field(default_factory=list)


def _start(learner: Learner, batches: Batches, saved: Checkpoint | None) -> _Counters:
    """Seed a new run, or put a saved one back where it was."""
    learner.model.train()
    torch.manual_seed(learner.config.seed + learner.processes.rank)
    if saved is None:
        return _Counters()
    learner.restore(saved)
    batches.load_state_dict(saved.state["batches"])
    restore(saved.random, learner.processes, learner.generator)
    return _Counters(**saved.state["counters"])


class _Run:
    """A run between its first and its last step."""

    def __init__(
        self, learner: Learner, batches: Batches, counters: _Counters, folder: Path | None
    ) -> None:
        self.learner, self.batches, self.counters, self.folder = learner, batches, counters, folder
        self.config, self.processes = learner.config, learner.processes
        self.first = self.processes.rank == 0
        self.metrics = (
            Metrics(folder / "metrics.jsonl", counters.step) if folder and self.first else None
        )
        self.pending: list[Tensor] = []  # the end of the window, still on the device
        self.started = time.monotonic() - counters.seconds
        self.reported = (counters.seconds, counters.images)
        self.saved = counters.seconds

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        return self.config.progress(self.counters.step, self.counters.seconds)

    def spend(self, stop: Stop, callbacks: Sequence[Callback]) -> Result:
        """Step until the budget is spent; between steps report, save or stop where that is due."""
        while self.progress < 1:
            rate = self.config.rate(self.counters.step, self.progress)
            stopped = self._step(rate, stop)
            step = self.counters.step
            if step == 1 or step % self.config.log_every == 0 or self.progress == 1:
                self._report(rate, callbacks)
            if stopped or self.counters.seconds - self.saved >= 60 * self.config.checkpoint_minutes:
                self._save()
            if stopped:
                raise Interrupted(self._farewell())
        self._save()
        now = self.counters
        return Result(self.learner.ema.module, now.step, now.images, now.seconds, now.loss)

    def _step(self, rate: float, stop: Stop) -> bool:
        """One step. All processes take the first one's clock, and stop (True) if any was asked to."""
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
                        f"loss {pair[0]:g}, gradient norm {pair[1]:g} at step {step}: lower learning_rate "
                        f"({self.config.learning_rate:g}) or clip ({self.config.clip:g}), or check the data; "
                        "the last checkpoint is untouched"
                    )
            self.counters.window += pairs
            self.pending.clear()

    def _report(self, rate: float, callbacks: Sequence[Callback]) -> None:
        """Write a line of metrics and call the callbacks, with means over the steps since the last report."""
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
        if self.first:
            left = now.seconds * (1 - self.progress) / self.progress
            with isolated(self.processes.device):
                for callback in callbacks:
                    callback(
                        Progress(now.step, now.images, now.loss, self.progress, now.seconds, left)
                    )

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
        if self.folder is None:
            return f"interrupted at step {self.counters.step}; nothing was saved, because the run has no folder"
        return f"interrupted at step {self.counters.step}; the checkpoint is in {self.folder}: resume to go on"
