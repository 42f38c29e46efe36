"""Training by stochastic gradient descent on `loss(batch, generator)`, within a budget.

The state of a run is: weights, moving average, moments of the optimizer, random generators,
position in the data, and the counters. All of it is in a checkpoint, so that n steps, a resume and
n steps are 2n steps, bit for bit, if the budget is in steps (with minutes the learning rate depends
on the clock). Callbacks and validation draw from random streams of their own, so that they do not
change the run.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from ..numerics.dropout import dropout_drawn_from
from . import checkpoint
from .checkpoint import BEST, Checkpoint
from .config import TrainingConfig
from .counters import Counters, Record, saved_numbers
from .distributed import Processes
from .loop import TrainingLoop
from .optimization import Batch, BatchStream, Learner
from .output import Output, unshared
from .progress import Callback
from .result import Result
from .rng_state import isolated
from .selection import Selection
from .signals import interrupts
from .validation import Validator
from .weights import read_header


def train(
    model: nn.Module,
    batches: BatchStream,
    config: TrainingConfig,
    folder: Path | Output | None = None,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    validation: Batch | None = None,
    processes: Processes | None = None,
) -> Result:
    """Train a model in place.

    Args:
        model: a module with `loss(batch, generator)`, one loss per item.
        batches: an endless iterator of batches with a position that can be saved.
        config: budget in steps or minutes, optimizer, and so on.
        folder: the run folder, for checkpoints and metrics; a path is refused where it holds a run,
            unless that is resumed, an `Output` prepares its folder itself. None writes nothing.
        resume: whether to continue the run in the folder.
        callbacks: called at each report, and every ten seconds, in the first process.
        validation: held-out items as one batch; their loss selects the best checkpoint. None: no
            validation.
        processes: the processes that train together; None: those that the environment describes.

    Returns:
        The averaged models, last and best, and the counters.

    Raises:
        ValueError: for a folder with a run and no `resume`, one without a run and `resume`, a
            damaged checkpoint, or a device that is absent.
        TrainingError: at the first loss or gradient that is not finite, and for a full disk.
        Interrupted: after Ctrl-C or SIGTERM, with a checkpoint written.
    """
    processes = processes or Processes(config.device)

    def read() -> tuple[Output | None, Checkpoint | None]:
        _check(model, folder, resume)
        output = unshared(folder) if isinstance(folder, Path) else folder
        is_validated = validation is not None and config.validation_every != 0
        return output, _saved(output.path, is_validated) if output and resume else None

    output, saved = processes.every(read)

    with isolated(processes.device), interrupts() as stop, processes.connected():
        learner = processes.every(lambda: Learner(model, config, processes))
        counters = processes.every(lambda: _start(learner, batches, saved))
        if output is not None:
            processes.first(partial(output.begin, counters))

        selection = _selection(validation, learner, counters, output)
        loop = TrainingLoop(learner, batches, counters, output, selection)
        with dropout_drawn_from(model, learner.generators.dropout):
            return loop.run(stop, callbacks)


def _check(model: nn.Module, folder: Path | Output | None, resume: bool) -> None:
    """Raise ValueError for a model without a loss, or a folder that does not fit `resume`."""
    if not callable(getattr(model, "loss", None)):
        raise ValueError(
            f"model {type(model).__name__} has no loss(batch, generator): give a module that has "
            "one"
        )
    if resume and folder is None:
        raise ValueError("resume=True needs a folder: give the one that the run was written to")
    if isinstance(folder, Path) and not resume and checkpoint.exists(folder):
        raise ValueError(f"{folder} holds a run already: resume it, or give another folder")


def _saved(folder: Path, is_validated: bool) -> Checkpoint:
    """The checkpoint of a run; ValueError also where it has best weights and their file is damaged.

    Args:
        folder: the run folder.
        is_validated: whether the best weights are compared with later ones.
    """
    saved = checkpoint.read_checkpoint(folder)
    if is_validated and saved_numbers(saved.state).counters.validation.best is not None:
        read_header(folder / BEST)
    return saved


def _start(learner: Learner, batches: BatchStream, saved: Checkpoint | None) -> Counters:
    """The counters of a run, after seeding a new one or restoring a saved one."""
    learner.model.train()
    learner.generators.start()
    if saved is None:
        return Counters()

    numbers = saved_numbers(saved.state)
    learner.restore(saved)
    batches.load_state_dict(numbers.batches)
    learner.generators.restore(saved.random, numbers.counters.step)

    return numbers.counters


def _selection(
    validation: Batch | None, learner: Learner, counters: Counters, output: Output | None
) -> Selection | None:
    """The selection of the best weights, in the first process; None without validation.

    Best weights in the folder that are not in the record, of a session that died or was validated,
    are deleted.
    """
    if learner.processes.rank != 0:
        return None

    is_validated = validation is not None and learner.config.validation_every != 0
    if not is_validated:
        counters.validation = Record()
    folder = None if output is None else output.path
    if folder is not None and counters.validation.best is None:
        (folder / BEST).unlink(missing_ok=True)

    if validation is None or not is_validated:
        return None
    validator = Validator(validation, learner.config, learner.processes.device)
    return Selection(validator, counters.validation, folder)
