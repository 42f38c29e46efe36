"""Data sets: what their items are, where they come from, and in which order training sees them."""

from .batches import Batches
from .dataset import Dataset
from .densities import log_density
from .items import BatchTransform, Items
from .sources import SOURCES, load
from .spec import DataSpec

__all__ = [
    "SOURCES",
    "BatchTransform",
    "Batches",
    "DataSpec",
    "Dataset",
    "Items",
    "load",
    "log_density",
]
