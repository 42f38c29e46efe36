"""Errors that end a training run early.

A wrong argument is a `ValueError`. The errors here occur in a run with correct arguments.
"""

import signal


class TrainingError(RuntimeError):
    """A loss that is not finite, or a disk that is full; the last checkpoint is complete."""


class FailedElsewhere(TrainingError, ValueError):
    """The error of another process of the run, which ends all of them; that one reports it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during training, raised after the step with a checkpoint written.

    It is a `KeyboardInterrupt`, so that a script stops here unless it handles it.

    Args:
        message: the step, and where the checkpoint is.
        number: the signal.
    """

    def __init__(self, message: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = int(number)
