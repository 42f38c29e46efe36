"""Training of any module with `loss(batch, generator)`.

Moving average, checkpoints, validation, and bit-exact resume.
"""

from .checkpoint import discard
from .config import TrainingConfig
from .distributed import Processes
from .ema import EMA
from .engine import train
from .errors import FailedElsewhere, Interrupted, TrainingError
from .progress import Callback, Progress, bar
from .result import Result
from .selection import Validation
from .weights import load_weights

__all__ = [
    "EMA",
    "Callback",
    "FailedElsewhere",
    "Interrupted",
    "Processes",
    "Progress",
    "Result",
    "TrainingConfig",
    "TrainingError",
    "Validation",
    "bar",
    "discard",
    "load_weights",
    "train",
]
