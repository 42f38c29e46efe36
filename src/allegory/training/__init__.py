"""Training: an engine for anything with `loss(batch)`; moving average, safe checkpoints, exact resume."""

from allegory.training.checkpoint import discard
from allegory.training.config import Training
from allegory.training.ema import EMA
from allegory.training.engine import Result, train
from allegory.training.errors import Interrupted, TrainingError
from allegory.training.progress import Callback, Progress, bar
from allegory.training.weights import load_weights

__all__ = [
    "EMA",
    "Callback",
    "Interrupted",
    "Progress",
    "Result",
    "Training",
    "TrainingError",
    "bar",
    "discard",
    "load_weights",
    "train",
]
