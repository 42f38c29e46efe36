"""Arrays to learn from: what they are, where they come from, and in which order they are seen."""

from .dataset import Arrays, Batches, Dataset
from .densities import log_density
from .sources import load
from .spec import Data

__all__ = ["Arrays", "Batches", "Data", "Dataset", "load", "log_density"]
