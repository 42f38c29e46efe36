"""Items to learn from: what they are, where they come from, and in which order they are seen."""

from .dataset import Batches, Dataset, Items
from .densities import log_density
from .sources import load
from .spec import DataSpec

__all__ = ["Batches", "DataSpec", "Dataset", "Items", "load", "log_density"]
