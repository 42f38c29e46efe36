"""Data sets: what their items are, where they come from, and in which order training sees them."""

from .batches import Batches
from .dataset import Dataset
from .densities import log_density
from .items import BatchTransform, Items
from .series import series_log_density
from .sources import SOURCES, load
from .spec import DataSpec
from .text import TextOptions, text_dataset
from .vocabularies import Bytes, Categories, Characters, Tokenizer, Vocabulary

__all__ = [
    "SOURCES",
    "BatchTransform",
    "Batches",
    "Bytes",
    "Categories",
    "Characters",
    "DataSpec",
    "Dataset",
    "Items",
    "TextOptions",
    "Tokenizer",
    "Vocabulary",
    "load",
    "log_density",
    "series_log_density",
    "text_dataset",
]
