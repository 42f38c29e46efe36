"""Errors that end a training run early.

A wrong argument is a `ValueError`. The two errors here occur in a run with correct arguments.
"""


class TrainingError(RuntimeError):
    """A loss that is not finite, or a disk that is full; the last checkpoint is complete."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during training, raised after the step with a checkpoint written.

    It is a `KeyboardInterrupt`, so that a script stops here unless it handles it.
    """
