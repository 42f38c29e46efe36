"""Arrays to learn from: what they are, where they come from, and in which order they are seen."""

from allegory.data.dataset import Arrays, Batches, Dataset
from allegory.data.sources import load
from allegory.data.spec import Data

__all__ = ["Arrays", "Batches", "Data", "Dataset", "load"]
