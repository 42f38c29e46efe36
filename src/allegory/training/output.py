"""The run folder as training writes to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .counters import Counters
from .errors import TrainingError


@dataclass(frozen=True)
class Output:
    """A run folder, and what the first process does before it writes to it.

    Args:
        path: the folder.
        begin: called with the counters so far when the model, the batches and a saved state are
            known to work, and before anything is written; it prepares the folder.
        check: called before each write; it raises TrainingError where the folder is another one by
            now.
    """

    path: Path
    begin: Callable[[Counters], None]
    check: Callable[[], None]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around a write: where the folder is no longer there, that is the error."""
        self.check()
        try:
            yield
        except (OSError, TrainingError, ValueError):
            self.check()
            raise


def unshared(path: Path) -> Output:
    """A folder that is ready, and that nobody else uses."""
    return Output(path, begin=lambda now: None, check=lambda: None)
