"""The training engine for anything with `loss(batch, generator)`: moving average, checkpoints,
validation, exact resume.
"""

from .checkpoint import discard
from .config import TrainingConfig
from .ema import EMA
from .engine import Result, train
from .errors import Interrupted, TrainingError
from .progress import Callback, Progress, bar
from .selection import Validation
from .weights import load_weights

__all__ = [
    "EMA",
    "Callback",
    "Interrupted",
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
