"""Data sets: what their items are, where they come from, and in which order training sees them."""

from .batches import Batches
from .dataset import Dataset
from .densities import log_density
from .items import BatchTransform, Items
from .series import series_log_density
from .sources import SOURCES, load
from .spec import DataSpec
from .table_dataset import dataset_of_table, table_dataset
from .table_schema import TableSchema, table_schema
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
    "TableSchema",
    "TextOptions",
    "Tokenizer",
    "Vocabulary",
    "dataset_of_table",
    "load",
    "log_density",
    "series_log_density",
    "table_dataset",
    "table_schema",
    "text_dataset",
]
