"""What can end a training run early.

A wrong argument is a `ValueError`, as everywhere. The two errors here happen to a run that was set
up well.
"""


class TrainingError(RuntimeError):
    """The run cannot go on (a loss that is not finite, a disk that is full); the last checkpoint is
    whole.
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; the step was finished and a checkpoint written before this was
    raised.

    It is a `KeyboardInterrupt`, so that a script which trains and then goes on stops here unless it
    asks not to.
    """
